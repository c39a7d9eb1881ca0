"""Answers to the held-out prompts, scored, and the table of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plad.config import Recipe
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean, win_rate
from plad.records import EvalRow, Generation, Prompt, Score, read_jsonl
from plad.runs import write_json, write_jsonl
from plad.scoring.judging import Judgement, is_pairwise, judge_answers
from plad.scoring.verdict import doubt_shares, doubts
from plad.stages.context import Context
from plad.stages.judge import judge_of, remembered
from plad.stages.sample import answer_prompts
from plad.stages.track import tell_results


def answer(context: Context, name: str) -> dict[str, Any]:
    """A model's answers to the test split, or to that which the recipe names, scored by the judge and by ROUGE."""
    initial = initial_answers(context, name)
    rows, judged, summary = answered(context, name, context.asked(), f"test {name}", initial)
    write_jsonl(context.run.path("evaluation", f"{name}.jsonl"), rows)
    for opponent, verdicts in judged.verdicts.items():
        write_jsonl(context.run.path("evaluation", "verdicts", f"{name}-{opponent}.jsonl"), verdicts)
    counts = [doubts(verdicts) for verdicts in judged.verdicts.values()]
    return summary | {"doubts": counts, "wins": _wins(context, name, rows)}


def _wins(context: Context, name: str, rows: Sequence[EvalRow]) -> dict[str, Any]:
    """Win rates so far: over the references, and of a student that was trained over the initial one."""
    over = win_rate([row.score for row in rows], [row.reference_score for row in rows], context.recipe.seed)
    wins = {"reference": over.to_json()}
    if name not in ("teacher", "student"):
        initial = list(read_jsonl(context.run.path("evaluation", "student.jsonl"), EvalRow))
        wins["initial"] = mean(outcomes_against(rows, initial), context.recipe.seed).to_json()
    return wins


def answered(
    context: Context, name: str, prompts: Sequence[Prompt], purpose: str, initial: Sequence[str] | None = None
) -> tuple[list[EvalRow], Judgement, dict[str, Any]]:
    """A model's answers to prompts with references, what the judge makes of them, and what was asked.

    Args:
        initial: what a pairwise judge compares them with besides the references.
    """
    from plad.evaluation.measure import evaluate_outputs

    outputs = context.workspace / "outputs.jsonl"
    sampling = context.recipe.evaluate.sampling or context.recipe.sample
    summary = answer_prompts(context, name, prompts, sampling.once, outputs, purpose)
    generations = list(read_jsonl(outputs, Generation))
    answers = [generation.response for generation in generations]
    with context.display.bar(f"judging {name}", None), remembered(context, judge_of(context)) as judge:
        judged = judge_answers(judge, prompts, answers, initial)
    columns = ([score.score, score.reference_score, score.against_initial] for score in judged.scores)
    return evaluate_outputs(prompts, generations, *map(list, zip(*columns, strict=True))), judged, summary


def score_also(context: Context, label: str, names: Sequence[str]) -> dict[str, Any]:
    """The outputs that were judged, scored by another scorer of the recipe."""
    prompts, wanted = context.asked(), context.recipe.evaluate.others[label]
    answers = {
        name: [row.response for row in read_jsonl(context.run.path("evaluation", f"{name}.jsonl"), EvalRow)]
        for name in names
    }
    with (
        context.display.bar(f"scoring by {label}", len(names)) as advance,
        remembered(context, wanted) as scorer,
    ):
        for done, name in enumerate(names, start=1):
            initial = answers["student"] if is_pairwise(wanted) and name != "student" else None
            scores = judge_answers(scorer, prompts, answers[name], initial).scores
            write_jsonl(context.run.path("evaluation", "scores", label, f"{name}.jsonl"), scores)
            advance(done, {})
    return {"description": wanted.description}


def summarise(context: Context, names: Sequence[str]) -> dict[str, Any]:
    """The results of all models in one table of estimates."""
    from plad.evaluation.agreement import side_by_side
    from plad.evaluation.measure import summarise as table

    labels = {"teacher": "Teacher", "student": "Initial student", **_labels(context.recipe)}
    rows = {name: list(read_jsonl(context.run.path("evaluation", f"{name}.jsonl"), EvalRow)) for name in names}
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


def initial_answers(context: Context, name: str) -> list[str] | None:
    """What the initial student answered to the test split, for a pairwise judge of another model; else None."""
    if name == "student" or not is_pairwise(context.recipe.evaluate.judge):
        return None
    return [row.response for row in read_jsonl(context.run.path("evaluation", "student.jsonl"), EvalRow)]


def _scores_by(context: Context, label: str, names: Sequence[str]) -> dict[str, list[Score]]:
    """What another scorer made of each model's outputs."""
    folder = context.run.path("evaluation", "scores", label)
    return {name: list(read_jsonl(folder / f"{name}.jsonl", Score)) for name in names}


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
