"""Four splits that share no text: to fine-tune on, to distil on, to choose by, and to report on.

Which split a prompt is in depends on its own text and the seed, so new data never moves an old prompt.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from plad.data.duplicates import groups
from plad.data.source import fold
from plad.errors import PladError
from plad.records import Prompt
from plad.spec import Spec

NAMES = ("train", "distill", "validation", "test")
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Splits(Spec):
    """The expected share of each split, and at most how many prompts it keeps (those of the lowest hash).

    `near_duplicates` is the Jaccard similarity of word shingles from which on two prompts count as one; None keeps
    all but exact duplicates. Numbers count as equal: set None for tasks whose prompts differ in numbers alone.
    """

    train: Fraction = 0.45
    distill: Fraction = 0.45
    validation: Fraction = 0.03
    test: Fraction = 0.07
    max_train: PositiveInt | None = None
    max_distill: PositiveInt | None = None
    max_validation: PositiveInt | None = None
    max_test: PositiveInt | None = None
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.7

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(self.fractions())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the fractions {', '.join(NAMES)} must sum to 1, but sum to {total:g}")
        return self

    def fractions(self) -> tuple[float, ...]:
        """The four shares, in the order of `NAMES`."""
        return self.train, self.distill, self.validation, self.test

    def caps(self) -> tuple[int | None, ...]:
        """The four caps, in the order of `NAMES`."""
        return self.max_train, self.max_distill, self.max_validation, self.max_test


@dataclass(frozen=True)
class SplitData:
    """The splits, each in the order of its hashes, and the counts of what was read, dropped and kept.

    `counts` has the keys read, exact_duplicates, near_duplicates, over_cap, train, distill, validation, test.
    """

    train: tuple[Prompt, ...]
    distill: tuple[Prompt, ...]
    validation: tuple[Prompt, ...]
    test: tuple[Prompt, ...]
    counts: dict[str, int]


def split(prompts: Iterable[Prompt], splits: Splits, seed: int) -> SplitData:
    """Remove duplicates and assign each remaining prompt by the salted SHA-256 of its text.

    The references of `distill` are removed: nothing downstream may learn from them.

    Raises:
        PladError: there is no prompt, two prompts share an id, or a split is empty.
    """
    read = list(prompts)
    if not read:
        raise PladError("splitting needs examples, but the source gave none. Check its path, filters and columns.")
    exact = _distinct(read)
    kept = _one_per_group(exact, splits.near_duplicates)
    _check_ids(kept)
    parts = _assign(kept, splits, seed)
    capped = [part[:cap] for part, cap in zip(parts, splits.caps(), strict=True)]
    counts = {
        "read": len(read),
        "exact_duplicates": len(read) - len(exact),
        "near_duplicates": len(exact) - len(kept),
        "over_cap": len(kept) - sum(map(len, capped)),
        **{name: len(part) for name, part in zip(NAMES, capped, strict=True)},
    }
    _check_filled(counts, len(kept))
    train, distill, validation, test = map(tuple, capped)
    return SplitData(train, tuple(replace(prompt, reference=None) for prompt in distill), validation, test, counts)


def _distinct(prompts: Sequence[Prompt]) -> list[Prompt]:
    """One prompt a text (white space folded), by text. The choice is by content, so order doesn't matter."""
    best: dict[str, Prompt] = {}
    for prompt in prompts:
        text = fold(prompt.text)
        if text not in best or _preference(prompt) < _preference(best[text]):
            best[text] = prompt
    return [best[text] for text in sorted(best)]


def _preference(prompt: Prompt) -> tuple[bool, str, str, str]:
    """Sorts examples with a reference first."""
    return prompt.reference is None, prompt.reference or "", prompt.id, prompt.text


def _one_per_group(prompts: list[Prompt], threshold: float | None) -> list[Prompt]:
    """Of each group of near-duplicates the prompt of the lowest hash; its salt is independent of the seed's."""
    if threshold is None:
        return prompts
    members: dict[int, list[Prompt]] = defaultdict(list)
    for prompt, group in zip(prompts, groups([prompt.text for prompt in prompts], threshold), strict=True):
        members[group].append(prompt)
    return [min(group, key=lambda prompt: _hash(prompt, "near duplicates")) for group in members.values()]


def _assign(prompts: Iterable[Prompt], splits: Splits, seed: int) -> list[list[Prompt]]:
    """The prompts of each split, sorted by hash."""
    *bounds, _ = accumulate(splits.fractions())
    parts: list[list[Prompt]] = [[] for _ in NAMES]
    for number, _, prompt in sorted((_hash(prompt, f"split {seed}"), prompt.id, prompt) for prompt in prompts):
        parts[sum(number >= bound for bound in bounds)].append(prompt)
    return parts


def _hash(prompt: Prompt, salt: str) -> float:
    """A number in [0, 1) that depends on the salt and the text (white space folded)."""
    digest = hashlib.sha256(f"{salt}\n{fold(prompt.text)}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _check_ids(prompts: Sequence[Prompt]) -> None:
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise PladError(
                f"ids must be unique, but {prompt.id!r} names two different prompts. "
                "Mend the id column, or leave it unset: ids are then derived from the text."
            )
        seen.add(prompt.id)


def _check_filled(counts: dict[str, int], kept: int) -> None:
    empty = [name for name in NAMES if not counts[name]]
    if empty:
        raise PladError(
            f"each split needs an example, but {', '.join(empty)} {'has' if len(empty) == 1 else 'have'} none: "
            f"{kept} of {counts['read']} examples are left without duplicates. "
            f"Give more data, a larger fraction, or a higher `near_duplicates` threshold."
        )
