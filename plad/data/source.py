"""What every source of prompts has in common: the protocol, the id of a prompt, and the checks on text."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TypeVar

from plad.errors import PladError
from plad.records import Prompt, PromptText, as_text
from plad.spec import Spec

T = TypeVar("T")

# What JSON can spell and UTF-8 or a tokenizer can't carry: halves of a surrogate pair, and NUL.
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


class Source(Spec):
    """A task: yields its prompts, the same ones in the same order every time."""

    @abstractmethod
    def prompts(self) -> Iterator[Prompt]:
        """Yield every example, with the human's answer as reference where there is one.

        Raises:
            PladError: the data is missing or broken.
        """


def prompt_id(prompt: PromptText) -> str:
    """16 hexadecimal digits that depend on nothing but the text."""
    return hashlib.sha256(as_text(prompt).encode()).hexdigest()[:16]


def example(prompt: PromptText, reference: str | None) -> Prompt:
    """An example whose id is derived from its text."""
    return Prompt(prompt_id(prompt), prompt, reference)


def nonempty(items: Iterable[T], problem: str) -> Iterator[T]:
    """Yield `items`.

    Raises:
        PladError: there was none; its message is `problem`.
    """
    count = 0
    for count, item in enumerate(items, start=1):  # noqa: B007
        yield item
    if not count:
        raise PladError(problem)


def fold(text: str) -> str:
    """`text` on one line, each run of white space one blank."""
    return " ".join(text.split())


def storable(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair: of answers, which are taken as they come."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def unprintable(text: str) -> str | None:
    """The first character of `text` that can't be stored or tokenized, as `U+D800`, or None."""
    found = _UNPRINTABLE.search(text)
    return f"U+{ord(found[0]):04X}" if found else None
