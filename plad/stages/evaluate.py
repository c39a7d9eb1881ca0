"""Answers to the held-out prompts, scored, and the table of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from plad.answers import AT_ONCE
from plad.config import Recipe
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean, win_rate
from plad.records import EvalRow, Generation, Prompt, Record, Score, dump_line, read_records
from plad.runs import write_json, write_jsonl
from plad.scoring.judging import Judgement, is_pairwise, judge_answers
from plad.scoring.verdict import Verdict, doubt_shares, doubts
from plad.stages.context import Context
from plad.stages.judge import judge_of, remembered
from plad.stages.sample import answer_prompts
from plad.stages.track import tell_results


def answer(context: Context, name: str) -> dict[str, Any]:
    """A model's answers to the test split, or to that which the recipe names, scored by the judge and by ROUGE."""
    initial = initial_answers(context, name)
    rows, verdicts, summary = answered(context, name, context.asked(), f"test {name}", initial)
    write_jsonl(context.run.path("evaluation", f"{name}.jsonl"), rows)
    for opponent, found in verdicts.items():
        write_jsonl(context.run.path("evaluation", "verdicts", f"{name}-{opponent}.jsonl"), found)
    counts = [doubts(found) for found in verdicts.values()]
    return summary | {"doubts": counts, "wins": _wins(context, name, rows)}


def _wins(context: Context, name: str, rows: Sequence[EvalRow]) -> dict[str, Any]:
    """Win rates so far: over the references, and of a student that was trained over the initial one."""
    over = win_rate([row.score for row in rows], [row.reference_score for row in rows], context.recipe.seed)
    wins = {"reference": over.to_json()}
    if name not in ("teacher", "student"):
        wins["initial"] = mean(outcomes_against(rows, context.evaluated("student")), context.recipe.seed).to_json()
    return wins


def answered(
    context: Context, name: str, prompts: Sequence[Prompt], purpose: str, initial: Sequence[str] | None = None
) -> tuple[Sequence[EvalRow], Mapping[str, Sequence[Verdict]], dict[str, Any]]:
    """A model's answers to prompts with references, what the judge makes of them, and what was asked.

    Rows and verdicts are in the workspace, until the next model's.

    Args:
        initial: what a pairwise judge compares them with besides the references.

    Returns:
        One row a prompt; by opponent the verdicts, where the judge is pairwise; what was asked.
    """
    from plad.evaluation.measure import evaluate_outputs

    outputs = context.workspace / "outputs.jsonl"
    sampling = context.recipe.evaluate.sampling or context.recipe.sample
    summary = answer_prompts(context, name, prompts, sampling.once, outputs, purpose)
    generations = read_records(outputs, Generation)
    with (
        ExitStack() as files,
        context.display.bar(f"judging {name}", None),
        remembered(context, judge_of(context)) as judge,
    ):
        opponents = ["reference", *([] if initial is None else ["student"])] if is_pairwise(judge) else []
        paths = {what: context.workspace / f"{what}.jsonl" for what in ("rows", *opponents)}
        opened = {what: files.enter_context(path.open("w", encoding="utf-8")) for what, path in paths.items()}
        judgements = _judged(judge, prompts, generations.each(lambda answer: answer.response), initial)
        for some, judged in judgements:
            columns = ([score.score, score.reference_score, score.against_initial] for score in judged.scores)
            rows = evaluate_outputs(
                list(prompts[some]), list(generations[some]), *map(list, zip(*columns, strict=True))
            )
            kept: dict[str, Sequence[Record]] = {"rows": rows, **judged.verdicts}
            for what, records in kept.items():
                opened[what].writelines(map(dump_line, records))
    verdicts = {who: read_records(paths[who], Verdict) for who in opponents}
    return read_records(paths["rows"], EvalRow), verdicts, summary


def _judged(
    judge: Any, prompts: Sequence[Prompt], answers: Sequence[str], initial: Sequence[str] | None
) -> Iterator[tuple[slice, Judgement]]:
    """Some answers after others, so that memory does not grow with their number."""
    for start in range(0, len(prompts), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        before = None if initial is None else list(initial[some])
        yield some, judge_answers(judge, list(prompts[some]), list(answers[some]), before)


def score_also(context: Context, label: str, names: Sequence[str]) -> dict[str, Any]:
    """The outputs that were judged, scored by another scorer of the recipe."""
    prompts, wanted = context.asked(), context.recipe.evaluate.others[label]
    answers = {name: context.evaluated(name).each(lambda row: row.response) for name in names}
    with (
        context.display.bar(f"scoring by {label}", len(names)) as advance,
        remembered(context, wanted) as scorer,
    ):
        for done, name in enumerate(names, start=1):
            initial = answers["student"] if is_pairwise(wanted) and name != "student" else None
            judgements = _judged(scorer, prompts, answers[name], initial)
            scores = (score for _, judged in judgements for score in judged.scores)
            write_jsonl(context.run.path("evaluation", "scores", label, f"{name}.jsonl"), scores)
            advance(done, {})
    return {"description": wanted.description}


def summarise(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """The results of all models in one table of estimates."""
    from plad.evaluation.agreement import side_by_side
    from plad.evaluation.measure import summarise as table

    labels = {"teacher": "Teacher", "student": "Initial student", **_labels(context.recipe)}
    rows = {name: context.evaluated(name) for name in names}
    parameters = {
        name: (context.run.finished(_trainer_of(name)) or {}).get("summary", {}).get("parameters") for name in names
    }
    results = table(rows, "student", "teacher", labels, parameters, context.asked(), context.recipe.seed)
    others = {label: _scores_by(context, label, names) for label in context.recipe.evaluate.others}
    also = side_by_side(rows, others, "student", context.recipe.seed)
    for entry in also:
        entry["description"] = context.recipe.evaluate.others[entry["name"]].description
    judged = context.run.finished("evaluate/judge") or {}
    scorer = {"name": context.recipe.evaluate.judge.type, **judged.get("summary", {}), **_doubts(context, names)}
    about = {
        "task": context.recipe.task.source.type,
        "split": context.recipe.evaluate.split,
        "subject": names[-1],
        "scorer": scorer,
    }
    results = {**about, **results, "scorers": also}
    results["warnings"] += [
        f"In the training of {labels[name]} {sentence}" for name in names for sentence in _trained_with(context, name)
    ]
    write_json(context.run.path("evaluation", "results.json"), results)
    tell_results(context, results)
    return {"n": results["n"]}


def initial_answers(context: Context, name: str) -> Sequence[str] | None:
    """What the initial student answered to the test split, for a pairwise judge of another model; else None."""
    if name == "student" or not is_pairwise(context.recipe.evaluate.judge):
        return None
    return context.evaluated("student").each(lambda row: row.response)


def _scores_by(context: Context, label: str, names: Sequence[str]) -> dict[str, Sequence[Score]]:
    """What another scorer made of each model's outputs."""
    folder = context.run.path("evaluation", "scores", label)
    return {name: read_records(folder / f"{name}.jsonl", Score) for name in names}


def _doubts(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """How often a pairwise judge's verdict hung on the order or was not to be read."""
    records = (context.run.finished(f"evaluate/{name}") or {} for name in names)
    return doubt_shares([count for record in records for count in record.get("summary", {}).get("doubts", ())])


def _trained_with(context: Context, name: str) -> list[str]:
    """What looked wrong in a model's training."""
    record = context.run.finished(_trainer_of(name)) or {}
    return list(record.get("summary", {}).get("warnings", ()))


def _trainer_of(name: str) -> str:
    return f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"


def _labels(recipe: Recipe) -> dict[str, str]:
    """What to call each trained student: its method, and its own name where that is another."""
    return {
        name: method.label if name == method.type else f"{method.label} ({name})"  # type: ignore[attr-defined]
        for name, method in recipe.methods.items()
    }
