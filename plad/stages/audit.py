"""The pairs audited before training: is the teacher's answer the better one, and what becomes of a pair where not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from plad.data import by_chance, drawn, likeness, one_each
from plad.evaluation.premise import premise
from plad.records import PreferencePair, Prompt
from plad.scoring.judging import is_pairwise
from plad.scoring.length import word_count
from plad.stages.context import Context
from plad.stages.judge import remembered

TIE = 0.5


@dataclass(frozen=True)
class Looked:
    """A pair that was looked at: 1 where the teacher's answer is better, ½ for a tie, else 0; and how sure that is.

    `sure` is from 0 to 1: of a scorer σ(gap / median |gap|), as Bradley and Terry would have it; of a pairwise judge
    the outcome itself.
    """

    pair: PreferencePair
    outcome: float
    sure: float


def audited(context: Context, pairs: Sequence[PreferencePair]) -> tuple[list[PreferencePair], dict[str, Any]]:
    """The pairs, turned round, left out or weighted as the recipe says, and what the audit found.

    An action is about every pair, so that all are looked at; where pairs are kept as they are, some of them will do.
    """
    recipe = context.recipe
    audit, scorer = recipe.pairs.audit, recipe.auditor
    assert audit is not None
    chosen = drawn(pairs, audit.prompts, recipe.seed) if audit.action == "keep" else list(pairs)
    with context.display.bar("auditing the pairs", None):
        looked = _look(context, chosen, scorer)
    found = _found(looked, pairs, recipe.seed) | {"action": audit.action, "scorer": scorer.description}
    found["judge"] = recipe.audits_by_judge
    kept, found["changed"] = (pairs, 0) if audit.action == "keep" else ACTIONS[audit.action](looked)
    _tell(context, found)
    return list(kept), found


def _look(context: Context, pairs: Sequence[PreferencePair], wanted: Any) -> list[Looked]:
    prompts = [Prompt(pair.id, pair.prompt) for pair in pairs]
    good, bad = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    with remembered(context, wanted) as scorer:
        if is_pairwise(wanted):
            outcomes = [verdict.outcome for verdict in scorer.compare(prompts, good, bad)]
            return [Looked(pair, won, won) for pair, won in zip(pairs, outcomes, strict=True)]
        both = zip(scorer.score(prompts, good), scorer.score(prompts, bad), strict=True)
    gaps = [float(one - other) for one, other in both]
    scale = median(map(abs, gaps)) or fmean(map(abs, gaps)) or 1.0
    return [
        Looked(pair, TIE if gap == 0 else float(gap > 0), 1 / (1 + math.exp(-max(-50.0, gap / scale))))
        for pair, gap in zip(pairs, gaps, strict=True)
    ]


def _found(looked: Sequence[Looked], pairs: Sequence[PreferencePair], seed: int) -> dict[str, Any]:
    """What is told of the pairs looked at, one a prompt, and how many of all pairs are of which kind."""
    every = [one.pair for one in looked]
    outcome = {(one.pair.id, one.pair.rejected): one.outcome for one in looked}
    apart = one_each(every, by_chance(every, seed))
    outcomes = [outcome[pair.id, pair.rejected] for pair in apart]
    words = [word_count(pair.chosen) for pair in apart]
    kinds = {"kinds": dict(Counter(map(likeness, pairs)))}
    return kinds | premise(outcomes, words, [likeness(pair) for pair in apart], seed)


def _flip(looked: Sequence[Looked]) -> tuple[list[PreferencePair], int]:
    """Turned round where the student's answer is the better one."""
    pairs = [one.pair.swap() if one.outcome < TIE else one.pair for one in looked]
    return pairs, sum(one.outcome < TIE for one in looked)


def _drop(looked: Sequence[Looked]) -> tuple[list[PreferencePair], int]:
    """Without those whose student's answer is the better one; ties stay."""
    pairs = [one.pair for one in looked if one.outcome >= TIE]
    return pairs, len(looked) - len(pairs)


def _weight(looked: Sequence[Looked]) -> tuple[list[PreferencePair], int]:
    """Each weighted by how sure its order is. Weights are 1 on average, so that a rate means what it did."""
    total = fmean(one.sure for one in looked) if looked else 0.0
    if not total:
        return [], len(looked)
    return [replace(one.pair, weight=one.sure / total) for one in looked], len(looked)


ACTIONS: Mapping[str, Callable[[Sequence[Looked]], tuple[list[PreferencePair], int]]] = {
    "flip": _flip,
    "drop": _drop,
    "weight": _weight,
}


def _tell(context: Context, found: Mapping[str, Any]) -> None:
    rate = found["teacher_better"]
    bounds = f"{100 * rate['low']:.1f} to {100 * rate['high']:.1f}"
    context.display.say(f"  audit: the teacher's answer is better on {100 * rate['value']:.1f} % ({bounds})")
    if found["warning"]:
        context.display.say(f"  {found['warning']}")
