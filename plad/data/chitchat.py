"""Chit-chat: a conversation between two people and its next turn (BYU's Chit-Chat Challenge, MIT licence).

The file maps a conversation's id to `{"messages": [[{"text", "sender", …}, …], …]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import PositiveInt, model_validator

from plad.data.source import Source, example, fold, nonempty, unprintable
from plad.errors import PladError
from plad.records import Prompt

_PACKAGE = "chitchat_dataset"


class Chitchat(Source):
    """Conversation so far → next turn, from the package `chitchat-dataset` or from its file (`file`).

    A conversation is cut into windows that share no turn, so that no reference stands in another example's prompt.
    A window is at most `context_turns` turns (odd, so that the user speaks first and last) and the reply.
    References are of `min_words` words or more: "lol" teaches nothing.
    """

    type: Literal["chitchat"] = "chitchat"
    file: Path | None = None
    turns_per_conversation: PositiveInt = 4
    context_turns: PositiveInt = 5
    min_words: PositiveInt = 4

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.context_turns % 2 == 0:
            raise ValueError(f"context_turns must be odd, so that the user speaks first, but is {self.context_turns}")
        return self

    def prompts(self) -> Iterator[Prompt]:
        """Yield the examples of each conversation in turn, conversations by id.

        Raises:
            PladError: the file isn't there, isn't in the format above, or holds no example.
        """
        file = self.file or _installed()
        conversations = sorted(_load(file).items())
        spoken = (_turns(f"{file}, {name}", conversation) for name, conversation in conversations)
        examples = (prompt for turns in spoken for prompt in self._windows(turns))
        problem = f"{file} holds no exchange with a reply of {self.min_words} words or more. Lower `min_words`."
        yield from nonempty(examples, problem)

    def _windows(self, turns: list[str]) -> Iterator[Prompt]:
        count = 0
        for start in range(0, len(turns) - 1, self.context_turns + 1):
            window = turns[start : start + self.context_turns + 1]
            *context, reply = window[: len(window) // 2 * 2]
            if len(reply.split()) >= self.min_words and count < self.turns_per_conversation:
                count += 1
                yield example(tuple(_message(index, text) for index, text in enumerate(context)), reply)


def _message(index: int, text: str) -> dict[str, str]:
    return {"role": "assistant" if index % 2 else "user", "content": text}


def _turns(place: str, conversation: Any) -> list[str]:
    """What each speaker said before the other answered; a speaker's messages in a row are one turn."""
    try:
        messages = [(m["sender"], fold(m["text"])) for group in conversation["messages"] for m in group]
    except (TypeError, KeyError, AttributeError) as error:
        raise PladError(
            f"{place}: a conversation must hold `messages`, lists of `sender` and `text` ({error!r})."
        ) from None
    spoken = ((sender, text) for sender, text in messages if text and not unprintable(text))
    return [" ".join(text for _, text in turn) for _, turn in groupby(spoken, key=lambda message: message[0])]


def _installed() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise PladError(
            "the chitchat task needs its conversations, but the package chitchat-dataset isn't installed. "
            "Run `pip install chitchat-dataset`, or set `file` to its dataset.json."
        )
    return Path(spec.origin).with_name("dataset.json")


def _load(file: Path) -> Mapping[str, Any]:
    try:
        conversations = json.loads(file.expanduser().read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise PladError(f"{file} must be the JSON file of chitchat-dataset, but can't be read: {error}") from None
    if not isinstance(conversations, dict):
        raise PladError(f"{file} must map ids to conversations, but is a {type(conversations).__name__}.")
    return conversations
