"""Pseudo-preference pairs: the teacher's response over the student's (arXiv 2406.02886, section 3.2)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
    asked = list(prompts)
    chosen, rejected = _first_samples(teacher), _samples(student)
    unclean = (hygiene or Hygiene()).reasons(asked, chosen)
    pairs: list[PreferencePair] = []
    dropped = dict.fromkeys([*REASONS, *sorted(set(unclean.values()))], 0)
    for prompt in asked:
        good = chosen.get(prompt.id)
        answers: list[Generation | None] = [*rejected.get(prompt.id, [None])][: None if every else 1]
        reasons = [unclean.get(prompt.id) or _reason(good, bad) for bad in answers]
        usable: dict[str, Generation] = {}
        for bad, reason in zip(answers, reasons, strict=True):
            if bad is not None and reason is None:
                usable.setdefault(fold(bad.response), bad)
        if good is None or not usable:
            dropped[str(reasons[0])] += 1
        else:
            pairs += [PreferencePair(prompt.id, prompt.prompt, good.response, bad.response) for bad in usable.values()]
    return PairResult(pairs, dropped)


def one_each(pairs: Sequence[PreferencePair], values: Sequence[float]) -> list[PreferencePair]:
    """Of the pairs of a prompt the one of the highest value, of equals the first; in the order of the prompts."""
    best: dict[str, int] = {}
    for index, pair in enumerate(pairs):
        if pair.id not in best or values[index] > values[best[pair.id]]:
            best[pair.id] = index
    return [pairs[index] for index in best.values()]


def by_chance(pairs: Sequence[PreferencePair], seed: int) -> list[float]:
    """A value for each pair, from 0 to 1, by the seed and the pair alone."""

    def value(pair: PreferencePair) -> float:
        digest = hashlib.sha256(f"negative\n{seed}\n{pair.id}\n{pair.rejected}".encode()).digest()
        return float(int.from_bytes(digest[:7], "big") / 2**56)

    return [value(pair) for pair in pairs]


def drawn(pairs: Sequence[PreferencePair], count: int, seed: int) -> list[PreferencePair]:
    """So many pairs by chance, of a prompt one at most, in the order of the pairs."""
    apart = one_each(pairs, by_chance(pairs, seed))
    chances = by_chance(apart, seed)
    places = sorted(range(len(apart)), key=lambda place: chances[place])[:count]
    return [apart[place] for place in sorted(places)]


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


def _first_samples(generations: Iterable[Generation]) -> dict[str, Generation]:
    first: dict[str, Generation] = {}
    for generation in generations:
        if generation.id not in first or generation.sample < first[generation.id].sample:
            first[generation.id] = generation
    return first


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
