"""Preference pairs: the teacher's answer over the student's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plad.data import make_pairs, reorder
from plad.errors import PladError
from plad.records import PreferencePair, Prompt
from plad.runs import write_json, write_jsonl
from plad.stages.context import Context
from plad.stages.judge import remembered


def pair(context: Context) -> dict[str, Any]:
    """The teacher's answer over the student's, scored where the loss or the share of real pairs needs it."""
    recipe = context.recipe
    prompts = context.prompts("distill")
    hygiene = recipe.pairs.hygiene
    result = make_pairs(prompts, context.generations("teacher"), context.generations("student"), hygiene)
    pairs = result.pairs
    if recipe.scores_pairs:
        pairs = _scored(context, pairs, recipe.pairs.scorer)
    pairs = reorder(pairs, recipe.pairs.real_share, recipe.seed)
    dropped = {reason: count for reason, count in result.dropped.items() if count}
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())
    context.display.say(f"  {len(pairs)} pairs of {len(prompts)} prompts; dropped: {told or 'none'}")
    if not pairs:
        raise PladError(
            f"distillation needs at least one pair, but all {len(prompts)} prompts were dropped: {told}. "
            "Raise sample.max_new_tokens where answers are truncated; where they are empty, see what the model makes "
            "of prompt.template, and which words end an answer. They are in generations/ in the run folder."
        )
    write_jsonl(context.run.path("pairs.jsonl"), pairs)
    summary = {"prompts": len(prompts), "made": len(pairs), "dropped": dropped}
    write_json(context.run.path("pairs.json"), summary)
    return summary


def _scored(context: Context, pairs: list[PreferencePair], scorer: Any) -> list[PreferencePair]:
    prompts = [Prompt(p.id, p.prompt) for p in pairs]
    with context.display.bar("scoring the pairs", 2 * len(pairs)) as advance, remembered(context, scorer) as scorer:
        chosen = scorer.score(prompts, [p.chosen for p in pairs])
        advance(len(pairs), {})
        rejected = scorer.score(prompts, [p.rejected for p in pairs])
        advance(2 * len(pairs), {})
    scored = zip(pairs, chosen, rejected, strict=True)
    return [replace(p, chosen_score=float(c), rejected_score=float(r)) for p, c, r in scored]
