"""The prompt format of a run as a chat template, so that any server shows a prompt as the model learnt it.

A message that spells out a control token is text to plad, and a control token to most servers.
"""

from __future__ import annotations

import json
from typing import Any

from plad.models.prompts import Formatter, PromptFormat

_TRANSCRIPT = (
    "{%- for message in messages -%}"
    "{{ '' if loop.first else '\\n\\n' }}"
    "{{ {'user': 'Human', 'assistant': 'Assistant', 'system': 'System'}.get(message['role'], message['role'] | title)"
    " + ': ' + message['content'] }}"
    "{%- if loop.last and message['role'] == 'assistant' -%}END{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '\\n\\nAssistant:' }}{%- endif -%}"
)
"""A conversation for a model without a chat template, as `prompts` writes it."""

_ONE = "messages | length == 1 and messages[0]['role'] == 'user'"


def chat_template(formatter: Formatter, conversations: bool) -> str:
    """The template under which a user's message becomes the tokens that the run showed the model.

    Args:
        conversations: the run's prompts were conversations, and no text to wrap.
    """
    spec, own = formatter.spec, formatter.tokenizer.chat_template
    if own and (spec.chat or conversations):
        return _wrapped(spec.template, conversations) + _with_beginning(spec) + str(own)
    end = formatter.tokenizer.convert_ids_to_tokens(formatter.end_id)
    begin = _text(beginning(formatter.tokenizer))
    transcript = begin + _with_beginning(spec) + _TRANSCRIPT.replace("END", _text(end))
    if conversations:
        return transcript
    plain = begin + _text(spec.shown()) + _filled(spec.template)
    return f"{{%- if {_ONE} -%}}{plain}{{%- else -%}}{transcript}{{%- endif -%}}"


def _wrapped(template: str, conversations: bool) -> str:
    """A lone user's message in the run's own words."""
    if conversations or template == "{prompt}":
        return ""
    content = _joined(template)
    return f"{{%- if {_ONE} -%}}{{%- set messages = [{{'role': 'user', 'content': {content}}}] -%}}{{%- endif -%}}"


def _with_beginning(spec: PromptFormat) -> str:
    """The run's system message, where a client sends none of its own, and the examples behind it."""
    first = [] if spec.system is None else [{"role": "system", "content": spec.system}]
    turns = spec.turns()
    if not first and not turns:
        return ""
    own = f"{{%- set messages = messages[:1] + {_quoted(turns)} + messages[1:] -%}}" if turns else ""
    ours = f"{{%- set messages = {_quoted(first + turns)} + messages -%}}"
    return f"{{%- if messages[0]['role'] == 'system' -%}}{own}{{%- else -%}}{ours}{{%- endif -%}}"


def beginning(tokenizer: Any) -> str:
    """The special tokens that every input begins with."""
    encoded = tokenizer("x", return_special_tokens_mask=True)
    ids, added = encoded["input_ids"], encoded["special_tokens_mask"]
    return "".join(tokenizer.convert_ids_to_tokens(ids[: added.index(0)]))


def _filled(template: str) -> str:
    return f"{{{{ {_joined(template)} }}}}"


def _joined(template: str) -> str:
    """An expression for `template` with the message in the place of {prompt}."""
    return " + messages[0]['content'] + ".join(map(_quoted, template.split("{prompt}")))


def _text(text: str) -> str:
    return f"{{{{ {_quoted(text)} }}}}" if text else ""


def _quoted(value: Any) -> str:
    """A text, or messages, as an expression of the template."""
    return json.dumps(value, ensure_ascii=False)
