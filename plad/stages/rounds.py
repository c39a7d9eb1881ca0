"""PLaD in rounds: the current student answers anew, its answers are paired with the teacher's, and it goes on.

The teacher's answers are those of the first round. The judge ends the rounds, on the validation split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from plad.evaluation.statistics import Estimate, mean, win_rate
from plad.evaluation.stopping import reason_to_stop
from plad.records import EvalRow, Generation, PreferencePair, read_records
from plad.runs import link, write_json, write_jsonl
from plad.stages.context import Context
from plad.stages.distill import train_student
from plad.stages.evaluate import answered
from plad.stages.pair import paired
from plad.stages.sample import answer_prompts
from plad.training.processes import is_main


def model_of(name: str, number: int) -> str:
    """What the student is called after a round; round 0 is the initial one."""
    return f"{name}@{number}" if number else "student"


def pair_again(context: Context, name: str, number: int) -> dict[str, Any]:
    """The current student's answers to the distillation half, paired with the teacher's from the first round."""
    target = context.run.path("rounds", str(number), "pairs.jsonl")
    answers = context.run.path("rounds", str(number), "student.jsonl")
    if not _goes_on(context, number - 1):
        for file in (answers, target):
            write_jsonl(file, [])
        return {"skipped": True}
    current = model_of(name, number - 1)
    asked, sampling = context.learnt_from(), context.recipe.sample
    spent = answer_prompts(context, current, asked, sampling, answers, f"sample {current}")
    pairs, counts = paired(context, read_records(answers, Generation), current)
    again = replayed(_pairs(context, number - 1), context.recipe.distill.replay, context.seed(f"replay {number}"))
    write_jsonl(target, chain(pairs, again))
    return {**counts, "replayed": len(again), "tokens": spent["tokens"]}


def train_round(context: Context, name: str, number: int) -> dict[str, Any]:
    """The student trained further on the pairs of a round, or carried forward where none is due.

    The first round is a run without rounds.
    """
    pairs = _pairs(context, number) if number == 1 or _goes_on(context, number - 1) else []
    start, target = model_of(name, number - 1), model_of(name, number)
    if not pairs:
        _carry(context, start, target)
        return {"skipped": True}
    return train_student(context, name, pairs, start, target, name if number == 1 else "")


def check_round(context: Context, name: str, number: int) -> dict[str, Any]:
    """How the student does on the validation split after a round, and whether another should follow."""
    if number and _skipped(context, name, number):
        found: dict[str, Any] = {"round": number, "go_on": False}
    else:
        if not number:
            _validated(context, "teacher", number)
        found = _found(context, name, number)
        if found["why"]:
            context.display.say(f"  round {number}: {found['why']}; no other follows")
    write_json(_checked(context, number, "check.json"), found)
    return {key: found[key] for key in ("go_on", "why") if key in found}


def keep_best(context: Context, name: str) -> dict[str, Any]:
    """Put the student of the best round in place: the last of those with the highest validation win rate."""
    checks = [_check(context, number) for number in range(context.recipe.distill.rounds + 1)]
    made = [check for check in checks if "win_rate" in check]
    kept = max(made[1:], key=lambda check: (check["win_rate"]["value"], check["round"]))["round"]
    _carry(context, model_of(name, kept), name)
    write_json(context.run.path("rounds.json"), {"method": name, "kept": kept, "rounds": made})
    context.display.say(f"  kept the student of round {kept} of {len(made) - 1}")
    return {"kept": kept, "rounds": len(made) - 1, **_spent(context, name, len(made) - 1)}


def replayed(pairs: Sequence[PreferencePair], share: float, seed: int) -> list[PreferencePair]:
    """A share of pairs, rounded to whole ones, in their order: those whose prompts have the lowest hash."""

    def rank(index: int) -> bytes:
        pair = pairs[index]
        return hashlib.sha256(f"{seed}\n{pair.id}\n{pair.rejected}".encode()).digest()

    chosen = sorted(range(len(pairs)), key=rank)[: round(share * len(pairs))]
    return [pairs[index] for index in sorted(chosen)]


def _found(context: Context, name: str, number: int) -> dict[str, Any]:
    """A round's numbers. Whatever the judge is, teacher and student meet through the references."""
    teacher = read_records(_checked(context, 0, "teacher.jsonl"), EvalRow)
    rows = _validated(context, model_of(name, number), number)
    over = win_rate([row.score for row in teacher], [row.score for row in rows])
    now = win_rate([row.score for row in rows], [row.reference_score for row in rows])
    before = Estimate(**_check(context, number - 1)["win_rate"]) if number else None
    # The first round is due whatever the initial student is like.
    why = reason_to_stop(over, now, before) if number else None
    return {
        "round": number,
        "pairs": len(_pairs(context, number)) if number else 0,
        "win_rate": now.to_json(),
        "teacher_win_rate": over.to_json(),
        "words": mean([float(row.words) for row in rows]).to_json(),
        "go_on": why is None,
        "why": why,
    }


def _validated(context: Context, model: str, number: int) -> Sequence[EvalRow]:
    """A model's answers to the validation split, judged, and kept with the round."""
    rows, _, _ = answered(context, model, context.prompts("validation"), f"validation {model}")
    kept = _checked(context, number, f"{model}.jsonl")
    write_jsonl(kept, rows)
    return read_records(kept, EvalRow)


def _goes_on(context: Context, number: int) -> bool:
    return bool(_check(context, number)["go_on"])


def _check(context: Context, number: int) -> dict[str, Any]:
    found = json.loads(_checked(context, number, "check.json").read_text(encoding="utf-8"))
    return dict(found)


def _checked(context: Context, number: int, name: str) -> Path:
    return context.run.path("rounds", str(number), "check", name)


def _pairs(context: Context, number: int) -> Sequence[PreferencePair]:
    if number == 1:
        return context.pairs()
    return read_records(context.run.path("rounds", str(number), "pairs.jsonl"), PreferencePair)


def _summary(context: Context, name: str, number: int) -> dict[str, Any]:
    record = context.run.finished(f"distill/{model_of(name, number)}") or {}
    return dict(record.get("summary", {}))


def _carry(context: Context, source: str, target: str) -> None:
    """A model under another name. Its training curve stays with the round that trained it."""
    if not is_main():
        return
    link(context.run.path("models", source), context.run.path("models", target))
    for told in ("history.jsonl", "guard.jsonl"):
        context.run.path("models", target, told).unlink(missing_ok=True)


def _spent(context: Context, name: str, rounds: int) -> dict[str, Any]:
    """What all of the rounds took."""
    trained = [_summary(context, name, number) for number in range(1, rounds + 1)]
    spent = {key: sum(summary[key] for summary in trained) for key in ("steps", "tokens", "flops")}
    answered = [context.run.finished(f"distill/{model_of(name, k)}/pairs") or {} for k in range(2, rounds + 1)]
    generated = trained[0]["generated"] + sum(record["summary"]["tokens"] for record in answered)
    memory = max(summary["memory"] for summary in trained)
    return {**spent, "generated": generated, "memory": memory, "parameters": trained[-1]["parameters"]}


def _skipped(context: Context, name: str, number: int) -> bool:
    return bool(_summary(context, name, number).get("skipped"))
