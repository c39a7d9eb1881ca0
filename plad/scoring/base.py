"""What every scorer has in common: the protocol, the checks on its input, batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from plad.errors import PladError
from plad.records import Prompt

Progress = Callable[[int], None]


@runtime_checkable
class Scorer(Protocol):
    """Says how good a response is. Higher is better; the scale is the scorer's own.

    A scorer is deterministic, keeps the order of its input, and gives an empty response a finite low score by
    a rule that its docstring states.
    """

    @property
    def description(self) -> str:
        """One line for the report."""

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """One score a response; `progress` is told how many were newly done."""


def check_aligned(prompts: Sequence[Prompt], responses: Sequence[str]) -> None:
    """Refuse prompts and responses that don't match one to one.

    Raises:
        PladError: their numbers differ.
    """
    if len(prompts) != len(responses):
        raise PladError(
            f"a scorer needs one prompt a response, but got {len(prompts)} prompts and {len(responses)} responses. "
            "Repeat a prompt for each of its samples."
        )


def references(prompts: Sequence[Prompt], scorer: str) -> list[str]:
    """The reference of each prompt.

    Raises:
        PladError: some have none, or only white space.
    """
    found = [prompt.reference for prompt in prompts if prompt.reference and prompt.reference.strip()]
    if missing := len(prompts) - len(found):
        raise PladError(
            f"{scorer} compares with the prompt's reference, but {missing} of {len(prompts)} prompts have none. "
            "Give data with references, or choose a scorer that needs none."
        )
    return found


def is_empty(response: str) -> bool:
    """Whether a response says nothing at all."""
    return not response.strip()


def batches_by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that little is padded and a lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def advance(progress: Progress | None, count: int) -> None:
    """Tell `progress`, where there is one, that `count` more are done."""
    if progress is not None and count:
        progress(count)
