"""Pseudo-preference pairs: the teacher's response over the student's (arXiv 2406.02886, section 3.2)."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from plad.data.hygiene import Hygiene
from plad.data.source import fold
from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt

# In the order in which they are tried: a prompt is dropped for the first that holds.
REASONS = (
    "missing",
    "failed_teacher",
    "empty_teacher",
    "empty_student",
    "truncated_teacher",
    "truncated_student",
    "identical",
)


@dataclass(frozen=True)
class PairResult:
    """The pairs, in the order of the prompts, and how many prompts gave none, by reason (zeros included)."""

    pairs: list[PreferencePair]
    dropped: dict[str, int] = field(default_factory=dict)


def make_pairs(
    prompts: Iterable[Prompt],
    teacher: Iterable[Generation],
    student: Iterable[Generation],
    hygiene: Hygiene | None = None,
    every: bool = False,
) -> PairResult:
    """Pair the responses to each prompt, of several samples the first; responses to other prompts are ignored.

    What `hygiene` finds in a teacher's answer comes before the other reasons.

    Args:
        every: pair the teacher's first sample with each of the student's that makes a pair and is unlike those before.
    """
    chosen, rejected = _samples(teacher), _samples(student)
    pairing = Pairing(hygiene, every)
    pairs = [pair for p in prompts for pair in pairing.pairs(p, chosen.get(p.id, ()), rejected.get(p.id, ()))]
    return PairResult(pairs, pairing.dropped)


class Pairing:
    """Pairs the responses to one prompt after another, as `make_pairs` says, and counts the prompts that give none."""

    def __init__(self, hygiene: Hygiene | None = None, every: bool = False):
        self.every, self._unclean, self._counts = every, (hygiene or Hygiene()).filter(), Counter[str]()

    @property
    def dropped(self) -> dict[str, int]:
        """How many prompts gave no pair so far, by reason (zeros included)."""
        return {reason: self._counts[reason] for reason in [*REASONS, *sorted(self._counts.keys() - set(REASONS))]}

    def pairs(
        self, prompt: Prompt, teacher: Sequence[Generation], student: Sequence[Generation]
    ) -> list[PreferencePair]:
        """The pairs of a prompt, of its samples in the order of their numbers."""
        good = teacher[0] if teacher else None
        unclean = self._unclean(prompt, good)
        answers: list[Generation | None] = [*student[: None if self.every else 1]] if student else [None]
        reasons = [unclean or _reason(good, bad) for bad in answers]
        usable: dict[str, Generation] = {}
        for bad, reason in zip(answers, reasons, strict=True):
            if bad is not None and reason is None:
                usable.setdefault(fold(bad.response), bad)
        if good is None or not usable:
            self._counts[str(reasons[0])] += 1
            return []
        return [PreferencePair(prompt.id, prompt.prompt, good.response, bad.response) for bad in usable.values()]


def by_prompt(
    prompts: Iterable[Prompt], *answers: Iterable[Generation]
) -> Iterator[tuple[Prompt, list[list[Generation]]]]:
    """Each prompt with what each of several models answered to it, in the order of the samples' numbers.

    Args:
        answers: in the order of the prompts, as sampling writes them; those to prompts beyond the last play no role.
    """
    streams = [groupby(some, key=lambda generation: generation.id) for some in answers]
    heads = [next(stream, None) for stream in streams]
    for prompt in prompts:
        found: list[list[Generation]] = []
        for place, head in enumerate(heads):
            ours = head is not None and head[0] == prompt.id
            found.append(sorted(head[1], key=lambda generation: generation.sample) if ours and head else [])
            heads[place] = next(streams[place], None) if ours else head
        yield prompt, found


def one_each(pairs: Sequence[PreferencePair], values: Sequence[float]) -> list[PreferencePair]:
    """Of the pairs of a prompt the one of the highest value, of equals the first; in the order of the prompts."""
    return [pairs[index] for index in _one_each(pairs, values)]


def _one_each(pairs: Iterable[PreferencePair], values: Sequence[float]) -> list[int]:
    """The places of `one_each`."""
    best: dict[str, int] = {}
    for index, pair in enumerate(pairs):
        if pair.id not in best or values[index] > values[best[pair.id]]:
            best[pair.id] = index
    return list(best.values())


def by_chance(pairs: Sequence[PreferencePair], seed: int) -> list[float]:
    """A value for each pair, from 0 to 1, by the seed and the pair alone."""

    def value(pair: PreferencePair) -> float:
        digest = hashlib.sha256(f"negative\n{seed}\n{pair.id}\n{pair.rejected}".encode()).digest()
        return float(int.from_bytes(digest[:7], "big") / 2**56)

    return [value(pair) for pair in pairs]


def drawn(pairs: Sequence[PreferencePair], count: int, seed: int) -> list[PreferencePair]:
    """So many pairs by chance, of a prompt one at most, in the order of the pairs."""
    chances = by_chance(pairs, seed)
    apart = _one_each(pairs, chances)
    places = sorted(range(len(apart)), key=lambda place: chances[apart[place]])[:count]
    return [pairs[apart[place]] for place in sorted(places)]


def reorder(pairs: Sequence[PreferencePair], share: float, seed: int) -> list[PreferencePair]:
    """Order a share of the pairs by score in place of by model: the paper's ratio of real pairs, ρ.

    The share is rounded to whole pairs. Shares are nested: the pairs of ρ = 0.25 are among those of ρ = 0.5.
    Equal scores keep their order.

    Raises:
        PladError: `share` isn't in [0, 1], or is above 0 and a pair has no score.
    """
    if not 0 <= share <= 1:
        raise PladError(f"the share of pairs ordered by score must be from 0 to 1, but is {share}.")
    if share == 0:
        return list(pairs)
    _need_scores(pairs)
    ranked = sorted(range(len(pairs)), key=lambda index: _rank(pairs[index].id, seed))
    real = set(ranked[: round(share * len(pairs))])
    return [_by_score(pair) if index in real else pair for index, pair in enumerate(pairs)]


def _samples(generations: Iterable[Generation]) -> dict[str, list[Generation]]:
    """The samples of each prompt, in the order of their numbers."""
    found: dict[str, list[Generation]] = {}
    for generation in sorted(generations, key=lambda generation: generation.sample):
        found.setdefault(generation.id, []).append(generation)
    return found


def _reason(teacher: Generation | None, student: Generation | None) -> str | None:
    if teacher is None or student is None:
        return "missing"
    good, bad = fold(teacher.response), fold(student.response)
    tried = (
        False,
        teacher.failure is not None,
        not good,
        not bad,
        not teacher.finished,
        not student.finished,
        good == bad,
    )
    return next((reason for reason, holds in zip(REASONS, tried, strict=True) if holds), None)


def _need_scores(pairs: Sequence[PreferencePair]) -> None:
    without = sum(_score(pair.chosen_score) is None or _score(pair.rejected_score) is None for pair in pairs)
    if without:
        raise PladError(
            f"ordering pairs by score needs scores, but {without} of {len(pairs)} pairs have none. "
            "Score the pairs first, or set the share of real pairs to 0."
        )


def _score(score: float | None) -> float | None:
    return None if score is None or math.isnan(score) else score


def _rank(identity: str, seed: int) -> tuple[bytes, str]:
    return hashlib.sha256(f"reorder\n{seed}\n{identity}".encode()).digest(), identity


def _by_score(pair: PreferencePair) -> PreferencePair:
    assert pair.chosen_score is not None
    assert pair.rejected_score is not None
    return pair.swap() if pair.rejected_score > pair.chosen_score else pair
