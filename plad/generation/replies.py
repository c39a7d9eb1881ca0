"""The body of an OpenAI-compatible answer: read with suspicion, for many servers only look like one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plad.data.source import storable

CUT_OFF = ("length", "max_tokens")
MOST = 2**53
"""Tokens of an answer that a server can have counted, for no store can keep a number of any size."""


class MalformedError(Exception):
    """The server said that all went well, and what it sent is no answer."""


@dataclass(frozen=True)
class Choice:
    """One answer of a reply. A refusal stands in place of the text."""

    text: str
    finished: bool
    refusal: str | None


@dataclass(frozen=True)
class Reply:
    """The answers in their order, and what the server says they cost, where it does."""

    choices: tuple[Choice, ...]
    prompt_tokens: int | None
    tokens: int | None


def read_reply(body: bytes) -> Reply:
    """Read a chat completion or a completion.

    Raises:
        MalformedError: it isn't one.
    """
    try:
        found = json.loads(body)
        choices = tuple(_choice(choice) for choice in sorted(found["choices"], key=lambda choice: choice["index"]))
        usage = found.get("usage") or {}
        reply = Reply(choices, _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}") from None
    if not choices:
        raise MalformedError("there are no choices in it")
    return reply


def _choice(choice: Mapping[str, Any]) -> Choice:
    message, reason = choice.get("message"), choice["finish_reason"]
    text = message.get("content") if message is not None else choice["text"]
    refusal = message.get("refusal") if message is not None else None
    if reason == "content_filter":
        refusal = refusal or "content filter"
    if refusal is None and not isinstance(text, str | None):
        raise TypeError(f"content must be text, but is {type(text).__name__}")
    if refusal is None and reason is None:
        raise TypeError("finish_reason is null: the answer was given up half way")
    return Choice("" if refusal else storable(text or "").strip(), reason not in CUT_OFF, refusal and storable(refusal))


def _count(value: Any) -> int | None:
    """A number of tokens; None where a server says what cannot be one."""
    return value if type(value) is int and 0 <= value < MOST else None
