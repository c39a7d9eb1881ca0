"""Whether an exported model says what the run's own model says, letter for letter, to held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from plad.records import Prompt


@dataclass(frozen=True)
class Agreement:
    """Greedy answers of two copies of a model, compared. `first` is the first prompt at which they part.

    `alike` of `prompts` became the same tokens in both; None where the other shows no tokens.
    """

    prompts: int
    equal: int
    alike: int | None = None
    first: dict[str, str] | None = None

    @property
    def share(self) -> float:
        """Equal answers of all."""
        return self.equal / self.prompts if self.prompts else 0.0

    def lines(self) -> list[str]:
        """What a person is told."""
        told = [f"{self.equal} of {self.prompts} greedy answers equal those of the run's model, letter for letter"]
        if self.alike is not None and self.alike < self.prompts:
            told.append(f"{self.prompts - self.alike} of {self.prompts} prompts become other tokens than in the run")
        if self.first:
            told.append(f"they part at prompt {self.first['id']!r}, after {self.first['shared']!r}:")
            told += [f"  run:      {self.first['ours']!r}", f"  exported: {self.first['theirs']!r}"]
        return told

    def to_json(self) -> dict[str, Any]:
        """As one object for machines."""
        return asdict(self) | {"share": round(self.share, 4)}


def compare(
    prompts: Sequence[Prompt],
    ours: Sequence[str],
    theirs: Sequence[str],
    ids: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]] | None = None,
) -> Agreement:
    """Compare answers in the order of `prompts`, and the ids that the prompts became, ours first."""
    found = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    first = _parting(prompts[found[0]].id, ours[found[0]], theirs[found[0]]) if found else None
    alike = sum(list(a) == list(b) for a, b in zip(*ids, strict=True)) if ids else None
    return Agreement(len(prompts), len(prompts) - len(found), alike, first)


def _parting(name: str, ours: str, theirs: str) -> dict[str, str]:
    """Where two texts part, with a little of what was the same and of what follows."""
    shorter = min(len(ours), len(theirs))
    at = next((n for n in range(shorter) if ours[n] != theirs[n]), shorter)
    shared, rest = ours[max(0, at - 30) : at], slice(at, at + 40)
    return {"id": name, "shared": shared, "ours": ours[rest], "theirs": theirs[rest]}
