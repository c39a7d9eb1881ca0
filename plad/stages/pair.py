"""Preference pairs: the teacher's answer over the student's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from plad.data import by_chance, make_pairs, one_each, reorder
from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt
from plad.runs import write_json, write_jsonl
from plad.stages.audit import audited
from plad.stages.context import Context
from plad.stages.judge import remembered
from plad.stages.likelihood import likelihoods


def pair(context: Context) -> dict[str, Any]:
    """The teacher's answer over the initial student's.

    Raises:
        PladError: no prompt makes a pair.
    """
    pairs, summary = paired(context, context.generations("student"))
    if not pairs:
        raise PladError(
            f"distillation needs at least one pair, but all {summary['prompts']} prompts were dropped: "
            f"{_told(summary['dropped'])}. Raise sample.max_new_tokens where answers are truncated; where they are "
            "empty, see what the model makes of prompt.template, and which words end an answer. They are in "
            "generations/ in the run folder. Where the audit dropped them, the student's answers were the better ones: "
            "use another teacher, or pairs.audit.action: flip."
        )
    write_jsonl(context.run.path("pairs.jsonl"), pairs)
    write_json(context.run.path("pairs.json"), summary)
    return summary


def paired(
    context: Context, answers: Sequence[Generation], student: str = "student"
) -> tuple[list[PreferencePair], dict[str, Any]]:
    """The teacher's answer over a student's, scored where the recipe needs it, and counts.

    Args:
        student: the model that gave the answers.
    """
    recipe = context.recipe
    prompts, negatives = context.learnt_from(), recipe.pairs.negatives
    result = make_pairs(prompts, _chosen(context, prompts), answers, recipe.pairs.hygiene, every=negatives != "first")
    pairs = result.pairs
    if negatives == "random":
        pairs = one_each(pairs, by_chance(pairs, recipe.seed))
    if negatives == "hardest":
        pairs = one_each(pairs, _likelihoods(context, student, pairs))
    made, told = len(pairs), {}
    if recipe.pairs.audit is not None and pairs:
        pairs, found = audited(context, pairs)
        told = {"audit": found}
    if recipe.scores_pairs:
        pairs = _scored(context, pairs, recipe.pairs.scorer)
    pairs = reorder(pairs, recipe.pairs.real_share, recipe.seed)
    dropped = {reason: count for reason, count in result.dropped.items() if count}
    if len(pairs) < made:
        dropped["audit"] = made - len(pairs)
    context.display.say(f"  {len(pairs)} pairs of {len(prompts)} prompts; dropped: {_told(dropped) or 'none'}")
    return pairs, {"prompts": len(prompts), "made": len(pairs), "dropped": dropped, **told}


def _chosen(context: Context, prompts: Sequence[Prompt]) -> list[Generation]:
    """The teacher's answers, or of the whole ones to each prompt the one that the scorer likes best."""
    answers = context.generations("teacher")
    if context.recipe.pairs.positives == "first":
        return answers
    by_id = {prompt.id: prompt.prompt for prompt in prompts}
    answers = [answer for answer in answers if answer.id in by_id]
    whole = [answer for answer in answers if answer.finished and answer.failure is None and answer.response.strip()]
    asked = [Prompt(answer.id, by_id[answer.id]) for answer in whole]
    with (
        context.display.bar("scoring the teacher's answers", None),
        remembered(context, context.recipe.pairs.scorer) as scorer,
    ):
        scores = scorer.score(asked, [answer.response for answer in whole])
    best: dict[str, tuple[float, Generation]] = {}
    for score, answer in zip(scores, whole, strict=True):
        if answer.id not in best or score > best[answer.id][0]:
            best[answer.id] = (score, answer)
    return [best[answer.id][1] if answer.id in best else answer for answer in answers if not answer.sample]


def _likelihoods(context: Context, student: str, pairs: Sequence[PreferencePair]) -> list[float]:
    """What the student thinks of each of its answers, those to a prompt in one pass."""
    by_prompt = [list(some) for _, some in groupby(pairs, key=lambda pair: pair.id)]
    answers = [[(pair.rejected, True) for pair in some] for some in by_prompt]
    rows = likelihoods(context, student, [some[0].prompt for some in by_prompt], answers)
    return [logp for row in rows for logp in row]


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
