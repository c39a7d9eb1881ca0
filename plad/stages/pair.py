"""Preference pairs: the teacher's answer over the student's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from plad.answers import AT_ONCE
from plad.data import Pairing, by_chance, by_prompt, one_each, reorder
from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt, read_records, together
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
) -> tuple[Sequence[PreferencePair], dict[str, Any]]:
    """The teacher's answer over a student's, scored where the recipe needs it, in the workspace; and counts.

    An audit, and an order by score (`pairs.real_share`), look at all pairs together and hold them in memory.

    Args:
        answers: in the order of the prompts.
        student: the model that gave the answers.
    """
    recipe = context.recipe
    pairing = Pairing(recipe.pairs.hygiene, every=recipe.pairs.negatives != "first")
    told, made = dict[str, Any](), Counter[str]()
    parts: Iterable[Sequence[PreferencePair]] = _counting(_made(context, pairing, answers, student), made)
    if recipe.pairs.audit is not None:
        parts, told = _audited(context, parts)
    if recipe.scores_pairs:
        parts = (_scored(context, some, recipe.pairs.scorer) for some in parts)
    if recipe.pairs.real_share:
        parts = [reorder([pair for some in parts for pair in some], recipe.pairs.real_share, recipe.seed)]
    file = context.workspace / ".pairs.jsonl"
    write_jsonl(file, (pair for some in parts for pair in some))
    pairs, asked = read_records(file, PreferencePair), len(context.learnt_from())
    dropped = {reason: count for reason, count in pairing.dropped.items() if count}
    if len(pairs) < made["pairs"]:
        dropped["audit"] = made["pairs"] - len(pairs)
    context.display.say(f"  {len(pairs)} pairs of {asked} prompts; dropped: {_told(dropped) or 'none'}")
    return pairs, {"prompts": asked, "made": len(pairs), "dropped": dropped, **told}


def _made(
    context: Context, pairing: Pairing, answers: Sequence[Generation], student: str
) -> Iterator[Sequence[PreferencePair]]:
    """The pairs of some prompts after others, so that memory does not grow with their number."""
    negatives, prompts = context.recipe.pairs.negatives, context.learnt_from()
    asked = by_prompt(prompts, _chosen(context, prompts), answers)
    for some in together(asked, AT_ONCE):
        pairs = [pair for prompt, (good, bad) in some for pair in pairing.pairs(prompt, good, bad)]
        if negatives == "random":
            pairs = one_each(pairs, by_chance(pairs, context.recipe.seed))
        if negatives == "hardest" and pairs:
            pairs = one_each(pairs, _likelihoods(context, student, pairs))
        yield pairs


def _counting(parts: Iterable[Sequence[PreferencePair]], made: Counter[str]) -> Iterator[Sequence[PreferencePair]]:
    for some in parts:
        made["pairs"] += len(some)
        yield some


def _audited(
    context: Context, parts: Iterable[Sequence[PreferencePair]]
) -> tuple[list[Sequence[PreferencePair]], dict[str, Any]]:
    """All of the pairs as the audit leaves them, and what it found."""
    pairs = [pair for some in parts for pair in some]
    if not pairs:
        return [], {}
    kept, found = audited(context, pairs)
    return [kept], {"audit": found}


def _chosen(context: Context, prompts: Sequence[Prompt]) -> Iterable[Generation]:
    """The teacher's answers, or of the whole ones to each prompt the one that the scorer likes best."""
    answers = context.generations("teacher")
    if context.recipe.pairs.positives == "first":
        return answers
    return _best(context, by_prompt(prompts, answers))


def _best(context: Context, asked: Iterator[tuple[Prompt, list[list[Generation]]]]) -> Iterator[Generation]:
    for some in together(asked, AT_ONCE):
        rows = [(Prompt(prompt.id, prompt.prompt), answer) for prompt, [found] in some for answer in found]
        whole = [row for row in rows if row[1].finished and row[1].failure is None and row[1].response.strip()]
        with (
            context.display.bar("scoring the teacher's answers", None),
            remembered(context, context.recipe.pairs.scorer) as scorer,
        ):
            scores = scorer.score([prompt for prompt, _ in whole], [answer.response for _, answer in whole])
        best: dict[str, tuple[float, Generation]] = {}
        for score, (_, answer) in zip(scores, whole, strict=True):
            if answer.id not in best or score > best[answer.id][0]:
                best[answer.id] = (score, answer)
        yield from (best[one.id][1] if one.id in best else one for _, one in rows if not one.sample)


def _likelihoods(context: Context, student: str, pairs: Sequence[PreferencePair]) -> list[float]:
    """What the student thinks of each of its answers, those to a prompt in one pass."""
    by_prompt = [list(some) for _, some in groupby(pairs, key=lambda pair: pair.id)]
    answers = [[(pair.rejected, True) for pair in some] for some in by_prompt]
    rows = likelihoods(context, student, [some[0].prompt for some in by_prompt], answers)
    return [logp for row in rows for logp in row]


def _told(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items())


def _scored(context: Context, pairs: Sequence[PreferencePair], scorer: Any) -> list[PreferencePair]:
    prompts = [Prompt(p.id, p.prompt) for p in pairs]
    with context.display.bar("scoring the pairs", 2 * len(pairs)) as advance, remembered(context, scorer) as scorer:
        chosen = scorer.score(prompts, [p.chosen for p in pairs])
        advance(len(pairs), {})
        rejected = scorer.score(prompts, [p.rejected for p in pairs])
        advance(2 * len(pairs), {})
    scored = zip(pairs, chosen, rejected, strict=True)
    return [replace(p, chosen_score=float(c), rejected_score=float(r)) for p, c, r in scored]
