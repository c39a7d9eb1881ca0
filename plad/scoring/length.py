"""The number of words: the control that every better scorer has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from plad.records import Prompt
from plad.scoring.base import Progress, advance, check_aligned
from plad.spec import Spec


def word_count(text: str) -> int:
    """Words between white space."""
    return len(text.split())


class Length(Spec):
    """Words of the response: longer is better. An empty response scores 0."""

    type: Literal["length"] = "length"

    @property
    def description(self) -> str:
        """One line for the report."""
        return "number of words (a control, not a judge)"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """The number of words of each response."""
        check_aligned(prompts, responses)
        advance(progress, len(responses))
        return [float(word_count(response)) for response in responses]
