"""Preference pairs: the teacher's answer over the student's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from plad.data import make_pairs, reorder
from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt
from plad.runs import write_json, write_jsonl
from plad.stages.context import Context
from plad.stages.judge import remembered


def pair(context: Context) -> dict[str, Any]:
    """The teacher's answer over the initial student's.

    Raises:
        PladError: no prompt makes a pair.
    """
    pairs, summary = paired(context, context.generations("student"))
    if not pairs:
        raise PladError(
            f"distillation needs at least one pair, but all {summary['prompts']} prompts were dropped: "
            f"{_told(summary['dropped'])}. Raise sample.max_new_tokens, or look at generations/ in the run folder."
        )
    write_jsonl(context.run.path("pairs.jsonl"), pairs)
    write_json(context.run.path("pairs.json"), summary)
    return summary


def paired(context: Context, answers: Sequence[Generation]) -> tuple[list[PreferencePair], dict[str, Any]]:
    """The teacher's answer over a student's, scored where the loss or the share of real pairs needs it, and counts."""
    recipe = context.recipe
    prompts = context.prompts("distill")
    result = make_pairs(prompts, context.generations("teacher"), answers, recipe.pairs.hygiene)
    pairs = result.pairs
    if recipe.scores_pairs:
        pairs = _scored(context, pairs, recipe.pairs.scorer)
    pairs = reorder(pairs, recipe.pairs.real_share, recipe.seed)
    dropped = {reason: count for reason, count in result.dropped.items() if count}
    context.display.say(f"  {len(pairs)} pairs of {len(prompts)} prompts; dropped: {_told(dropped) or 'none'}")
    return pairs, {"prompts": len(prompts), "made": len(pairs), "dropped": dropped}


def _told(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())


def _scored(context: Context, pairs: list[PreferencePair], scorer: Any) -> list[PreferencePair]:
    prompts = [Prompt(p.id, p.prompt) for p in pairs]
    with context.display.bar("scoring the pairs", 2 * len(pairs)) as advance, remembered(context, scorer) as scorer:
        chosen = scorer.score(prompts, [p.chosen for p in pairs])
        advance(len(pairs), {})
        rejected = scorer.score(prompts, [p.rejected for p in pairs])
        advance(2 * len(pairs), {})
    scored = zip(pairs, chosen, rejected, strict=True)
    return [replace(p, chosen_score=float(c), rejected_score=float(r)) for p, c, r in scored]
