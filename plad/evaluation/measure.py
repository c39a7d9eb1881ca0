"""From outputs and scores to one row a prompt, and from the rows of all models to the table of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.errors import PladError
from plad.evaluation.degenerate import degeneration
from plad.evaluation.diagnostics import diagnostics
from plad.evaluation.methods import Rows, comparisons, length_warning, lengths, outcomes_against
from plad.evaluation.statistics import mean, win_rate
from plad.records import EvalRow, Generation, Prompt
from plad.scoring.length import word_count
from plad.scoring.rouge import rouge_scores

COLUMNS = ("rouge1", "rouge2", "rougeL", "words", "finished")


def evaluate_outputs(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[float],
    reference_scores: Sequence[float],
    against_initial: Sequence[float | None] | None = None,
) -> list[EvalRow]:
    """One row a prompt, in the order of `prompts`; generations may come in any order.

    `scores` and `against_initial` (a pairwise judge's verdicts) go with `generations`, `reference_scores` (what the
    human's answers are worth) with `prompts`.

    Raises:
        PladError: a prompt has no reference, or not exactly one generation, or scores are missing.
    """
    _check_counts(prompts, generations, scores, reference_scores)
    verdicts = [None] * len(generations) if against_initial is None else against_initial
    judged = zip(generations, scores, verdicts, strict=True)
    outputs = {generation.id: (generation, score, verdict) for generation, score, verdict in judged}
    _check_ids([prompt.id for prompt in prompts], list(outputs), "the generations")
    return [
        _row(prompt, *outputs[prompt.id], reference_score)
        for prompt, reference_score in zip(prompts, reference_scores, strict=True)
    ]


def summarise(
    rows_by_model: Mapping[str, Rows],
    initial: str,
    teacher: str,
    labels: Mapping[str, str],
    parameters: Mapping[str, int | None],
    prompts: Sequence[Prompt],
    seed: int = 0,
) -> dict[str, Any]:
    """The results of all models: win rates against the human and the initial student, overlap, words.

    The last model but the teacher and the initial student is the subject: `comparisons` has the paired tests of it
    against the others. `warnings` are sentences on gains that go with a change in length, and on what degenerated.

    Every number is `{"value", "low", "high", "n"}`; win rates and ROUGE are shares, `words` are words. The references
    of `prompts`, the prompts answered, give `reference_words`, and `reference` what `diagnostics` says of them.

    Raises:
        PladError: a model is missing, or the models did not answer the same prompts.
    """
    ids = [prompt.id for prompt in prompts]
    aligned = {name: _aligned(ids, rows, name) for name, rows in rows_by_model.items()}
    for name in (initial, teacher):
        if name not in aligned:
            raise PladError(f"a summary compares with {name!r}, but there are {', '.join(aligned)}. Evaluate it too.")
    before = aligned[initial]
    table = {
        name: {
            "name": name,
            "label": labels.get(name, name),
            "parameters": parameters.get(name),
            **_numbers(rows, None if name == initial else before, prompts, seed),
        }
        for name, rows in aligned.items()
    }
    students = [name for name in aligned if name not in (initial, teacher)]
    warnings = [length_warning(table[name], table[initial]) for name in students]
    for name in students:
        warnings += degeneration(table[name]["label"], aligned[name], before, prompts)
    *others, subject = students or [initial]
    return {
        "n": len(ids),
        "teacher_student": mean(outcomes_against(aligned[teacher], before), seed).to_json(),
        "rows": list(table.values()),
        "comparisons": comparisons(aligned, subject, others, seed),
        "warnings": [warning for warning in warnings if warning],
        "reference_words": mean([word_count(prompt.reference or "") for prompt in prompts], seed).to_json(),
        "reference": diagnostics((prompt.reference or "" for prompt in prompts), seed),
    }


def _numbers(rows: Rows, before: Rows | None, prompts: Sequence[Prompt], seed: int) -> dict[str, Any]:
    """The estimates of one model. One seed for all: each draws the same prompts."""
    reference_scores = [row.reference_score for row in rows]
    return {
        "win_rate": win_rate(_scores(rows), reference_scores, seed).to_json(),
        "against_initial": mean(outcomes_against(rows, before), seed).to_json() if before else None,
        **{name: mean([float(getattr(row, name)) for row in rows], seed).to_json() for name in COLUMNS},
        **lengths(rows, before, prompts, seed),
        **diagnostics((row.response for row in rows), seed),
    }


def _row(
    prompt: Prompt, generation: Generation, score: float, verdict: float | None, reference_score: float
) -> EvalRow:
    assert prompt.reference is not None
    return EvalRow(
        id=prompt.id,
        response=generation.response,
        score=score,
        reference_score=reference_score,
        words=word_count(generation.response),
        finished=generation.finished,
        against_initial=verdict,
        **rouge_scores(generation.response, prompt.reference),
    )


def _scores(rows: Rows) -> list[float]:
    return [row.score for row in rows]


def _aligned(ids: Sequence[str], rows: Rows, model: str) -> Rows:
    """The rows in the order of the prompts; as they are where they come in it, which may be from a file."""
    found = [row.id for row in rows]
    if len(set(found)) != len(found):
        raise PladError(f"{model} has {len(found)} rows for {len(set(found))} prompts. Keep one row a prompt.")
    if found == ids:
        return rows
    _check_ids(ids, found, f"the rows of {model}")
    by_id = {row.id: row for row in rows}
    return [by_id[name] for name in ids]


def _check_ids(wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    missing, strange = set(wanted) - set(found), set(found) - set(wanted)
    if missing or strange:
        raise PladError(
            f"{what} must answer each of the {len(wanted)} prompts, but {len(missing)} are unanswered and "
            f"{len(strange)} answers belong to no prompt, such as {min(missing or strange)!r}. "
            "Generate again from these prompts."
        )


def _check_counts(
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    scores: Sequence[float],
    reference_scores: Sequence[float],
) -> None:
    if len({generation.id for generation in generations}) != len(generations):
        raise PladError(
            f"evaluation takes one generation a prompt, but some of the {len(generations)} share an id. "
            "Keep the first sample of each."
        )
    if len(scores) != len(generations) or len(reference_scores) != len(prompts):
        raise PladError(
            f"evaluation needs a score for each output, but got {len(scores)} for {len(generations)} generations "
            f"and {len(reference_scores)} for {len(prompts)} references. Score them again."
        )
    if missing := sum(prompt.reference is None for prompt in prompts):
        raise PladError(
            f"evaluation compares with references, but {missing} of {len(prompts)} prompts have none. "
            "Evaluate on data with references."
        )
