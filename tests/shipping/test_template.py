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
TOLD: PromptText = ({"role": "system", "content": "Be long."}, *CHAT)
SHOWN = [
    {"prompt": 'a "slow" {prompt}', "response": "yes\\n %} }}"},
    {"prompt": "the\nblue {{ sky }}", "response": "it’s\tüber"},
]
"""Examples that hold what a template, a quoted text and the recipe's own placeholder are written with."""


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
        ({"examples": SHOWN}, PLAIN),
        ({"examples": SHOWN, "template": 'Say "{prompt}" or {prompt}:'}, PLAIN),
        ({"examples": SHOWN, "template": "Q: {prompt}"}, CHAT),
        ({"examples": SHOWN, "system": "Be brief."}, CHAT),
        ({"examples": SHOWN}, TOLD),
    ],
)
def test_a_prompt_becomes_the_same_tokens(family: Any, settings: dict[str, Any], prompt: PromptText) -> None:
    tokenizer = family()
    formatter = PromptFormat(**settings).bind(tokenizer)
    template = chat_template(formatter, conversations=not isinstance(prompt, str))
    assert shown(tokenizer, template, prompt) == formatter.prompt_ids(prompt)


@pytest.mark.parametrize("more", [{}, {"examples": SHOWN}])
@pytest.mark.parametrize("settings", [{}, {"system": "Be “brief”."}, {"template": "Q: {prompt}\nA:"}])
def test_a_chat_keeps_its_own_template_beneath_what_the_recipe_adds(
    settings: dict[str, Any], more: dict[str, Any]
) -> None:
    tokenizer = families.chatml()
    formatter = PromptFormat(chat=True, **settings, **more).bind(tokenizer)
    template = chat_template(formatter, conversations=False)
    assert shown(tokenizer, template, PLAIN) == formatter.prompt_ids(PLAIN)


def test_a_client_s_own_system_message_takes_the_place_of_the_recipe_s() -> None:
    tokenizer = families.chatml()
    format_ = PromptFormat(chat=True, system="Be brief.", examples=SHOWN)
    template = chat_template(format_.bind(tokenizer), conversations=False)
    alone = PromptFormat(chat=True, examples=SHOWN).bind(tokenizer)
    assert shown(tokenizer, template, TOLD) == alone.prompt_ids(TOLD)


@pytest.mark.parametrize("family", [families.byte_level, families.chatml])
@pytest.mark.parametrize("conversations", [True, False])
@pytest.mark.parametrize("examples", [(), SHOWN])
def test_an_answer_ends_with_the_same_token_under_it(family: Any, conversations: bool, examples: Any) -> None:
    tokenizer = family()
    end = find_end_id(tokenizer)
    tokenizer.chat_template = chat_template(PromptFormat(examples=examples).bind(tokenizer), conversations)
    assert find_end_id(tokenizer) == end
