"""The chat template of an export shows a prompt as the run did, to the last token."""

from __future__ import annotations

from typing import Any

import families
import pytest

from plad.models import PromptFormat
from plad.models.prompts import find_end_id
from plad.records import PromptText
from plad.shipping.template import chat_template

CHAT: PromptText = (
    {"role": "user", "content": "why is the sky blue?"},
    {"role": "assistant", "content": "because of the light"},
    {"role": "user", "content": "what light?"},
)
PLAIN = "the quick brown fox\n sees {a} 'dog'"


def shown(tokenizer: Any, template: str, prompt: PromptText) -> list[int]:
    """What transformers makes of a user's message, without any code of ours."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("family", [families.byte_level, families.chatml, families.word_piece])
@pytest.mark.parametrize(
    ("settings", "prompt"),
    [
        ({}, PLAIN),
        ({"template": 'Say "{prompt}"\n\\n{prompt}\tthen: '}, PLAIN),
        ({"system": "Be brief."}, CHAT),
        ({}, CHAT),
    ],
)
def test_a_prompt_becomes_the_same_tokens(family: Any, settings: dict[str, Any], prompt: PromptText) -> None:
    tokenizer = family()
    formatter = PromptFormat(**settings).bind(tokenizer)
    template = chat_template(formatter, conversations=not isinstance(prompt, str))
    assert shown(tokenizer, template, prompt) == formatter.prompt_ids(prompt)


@pytest.mark.parametrize("settings", [{}, {"system": "Be “brief”."}, {"template": "Q: {prompt}\nA:"}])
def test_a_chat_keeps_its_own_template_beneath_what_the_recipe_adds(settings: dict[str, Any]) -> None:
    tokenizer = families.chatml()
    formatter = PromptFormat(chat=True, **settings).bind(tokenizer)
    template = chat_template(formatter, conversations=False)
    assert shown(tokenizer, template, PLAIN) == formatter.prompt_ids(PLAIN)


@pytest.mark.parametrize("family", [families.byte_level, families.chatml])
@pytest.mark.parametrize("conversations", [True, False])
def test_an_answer_ends_with_the_same_token_under_it(family: Any, conversations: bool) -> None:
    tokenizer = family()
    end = find_end_id(tokenizer)
    tokenizer.chat_template = chat_template(PromptFormat().bind(tokenizer), conversations)
    assert find_end_id(tokenizer) == end
