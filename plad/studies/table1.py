"""The paper's Table 1 (arXiv 2406.02886): every method of a recipe over several seeds, in one table.

A seed is a whole run, in which all methods share data, fine-tuned models, answers, pairs and judge. A study is thus a
folder of run folders, and continues as they do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean_over_seeds, wins
from plad.progress import Display
from plad.records import EvalRow, read_jsonl
from plad.runs import Run, write_json, write_text
from plad.studies.beside import calibration_of, scores_of
from plad.studies.cells import Cell, run_cells
from plad.studies.render import csv_table, markdown_table
from plad.studies.sweep import sweep

Rows = list[EvalRow]
MEANS = ("words", "rouge1", "rouge2", "rougeL")


def make_table1(
    recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, trials: int = 0
) -> dict[str, Any]:
    """Run what is not done yet, and write table1.json, .md, .csv and .html into the folder.

    Args:
        trials: settings to try for each method on the validation split beforehand; 0 for those of the recipe.

    Returns:
        What table1.json holds: `seeds`, `n`, `subject`, `teacher_student`, `scorers` (those beside the judge),
        `processor` (its seconds a seed) and `rows`. Numbers are `{"value", "low", "high", "n"}`, means over the seeds
        as `mean_over_seeds` says; win rates and ROUGE are shares.

    Raises:
        PladError: no seed or one twice, or what a run raises.
    """
    check_seeds(seeds)
    if trials:
        recipe = sweep(recipe, folder, trials, display)
    runs = run_cells([Cell(f"seed-{n}", recipe.model_copy(update={"seed": n})) for n in seeds], folder, display)
    table = {"seeds": list(seeds), **collect(runs)}
    write_table(table, folder / "table1", f"Table 1: {recipe.task.source.type}", recipe)
    return table


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse no seeds at all, and one that comes twice.

    Raises:
        PladError: with the remedy.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise PladError(f"a study needs one seed or more, each once, but has {list(seeds)}. Name others by --seeds.")


def write_table(table: Mapping[str, Any], path: Path, title: str, recipe: Recipe) -> None:
    """The table as path.json, .md, .csv and .html."""
    # Charts need matplotlib, which takes most of a second to import; `plad --help` shouldn't pay that.
    from plad.studies.page import html_page

    write_json(path.with_suffix(".json"), table)
    write_text(path.with_suffix(".md"), markdown_table(table))
    write_text(path.with_suffix(".csv"), csv_table(table))
    write_text(path.with_suffix(".html"), html_page(table, title, recipe.to_yaml()))


def collect(runs: Sequence[Run], others: Mapping[str, Sequence[Run]] | None = None) -> dict[str, Any]:
    """One table of finished runs that have the same models, each on test prompts of its own.

    Args:
        others: more rows by their label: runs of the same seeds and test prompts, of which the subject is a row.

    Raises:
        PladError: the runs have not the same models.
    """
    results = [json.loads(each.path("evaluation", "results.json").read_text(encoding="utf-8")) for each in runs]
    labels = {row["name"]: row["label"] for row in results[0]["rows"]}
    for each, result in zip(runs, results, strict=True):
        if [row["name"] for row in result["rows"]] != list(labels):
            raise PladError(f"a table has the same models for every seed, but {each.folder} has others. Run it again.")
    subject = str(results[0]["subject"])
    sources = {name: (label, runs, name) for name, label in labels.items()}
    sources |= {label: (label, other, subject) for label, other in (others or {}).items()}
    rows = {name: [_rows(each, own) for each in of] for name, (_, of, own) in sources.items()}
    gap = [wins(_scores(a), _scores(b)) for a, b in zip(rows["teacher"], rows["student"], strict=True)]
    scorers = [{key: each[key] for key in ("name", "description")} for each in results[0].get("scorers", ())]
    return {
        "n": sum(map(len, gap)),
        "subject": subject,
        "scorer": results[0]["scorer"],
        "scorers": scorers,
        "processor": _processor(runs),
        "teacher_student": mean_over_seeds(gap).to_json(),
        "warnings": _warnings(runs, results),
        "rows": [
            {
                "name": name,
                "label": label,
                **_numbers(rows[name]),
                "against_initial": None if name == "student" else _over_initial(rows[name], rows["student"]),
                "against_subject": None if name == subject else _against(rows[name], rows[subject]),
                "scores": scores_of(of, own, runs, scorers),
                "calibration": calibration_of(of, own),
                **_cost(of, own),
            }
            for name, (label, of, own) in sources.items()
        ],
    }


def _warnings(runs: Sequence[Run], results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What evaluation has to say against a run's models, by the run's name."""
    both = zip(runs, results, strict=True)
    return [{"run": each.folder.name, "told": found["warnings"]} for each, found in both if found.get("warnings")]


def _numbers(by_seed: Sequence[Rows]) -> dict[str, Any]:
    means = {
        key: mean_over_seeds([[float(getattr(row, key)) for row in rows] for rows in by_seed]).to_json()
        for key in MEANS
    }
    won = [_wins(rows) for rows in by_seed]
    return {**means, "win_rate": mean_over_seeds(won).to_json(), "win_rate_by_seed": [float(w.mean()) for w in won]}


def _over_initial(by_seed: Sequence[Rows], before: Sequence[Rows]) -> dict[str, Any]:
    """The win rate over the initial student of the same seed."""
    won = [outcomes_against(rows, initial) for rows, initial in zip(by_seed, before, strict=True)]
    return {**mean_over_seeds(won).to_json(), "by_seed": [float(w.mean()) for w in won]}


def _against(by_seed: Sequence[Rows], subject: Sequence[Rows]) -> dict[str, Any]:
    """By how much a method's win rate against the reference exceeds the subject's, paired by seed and prompt."""
    difference = mean_over_seeds([_wins(a) - _wins(b) for a, b in zip(by_seed, subject, strict=True)])
    return {**difference.to_json(), "significant": difference.low > 0 or difference.high < 0}


def _wins(rows: Rows) -> Any:
    return wins(_scores(rows), [row.reference_score for row in rows])


def _scores(rows: Rows) -> list[float]:
    return [row.score for row in rows]


def _rows(each: Run, name: str) -> Rows:
    """In the order of the test prompts, which is that of every model of a run."""
    return list(read_jsonl(each.path("evaluation", f"{name}.jsonl"), EvalRow))


def _processor(runs: Sequence[Run]) -> float | None:
    """The processor's seconds of all tasks of a run, the mean over the seeds; None where one has no record of some."""
    spent = [[task.get("processor") for task in each.manifest.get("tasks", {}).values()] for each in runs]
    return None if any(None in tasks for tasks in spent) else round(fmean(map(sum, spent)), 2)


def _cost(runs: Sequence[Run], name: str) -> dict[str, float | None]:
    """What a student's training took, the mean over the seeds; None where it was not trained, or not measured.

    Seconds by the clock and of the processor, tokens of its passes, tokens generated for it (answers that it learns
    from, and what was drawn meanwhile), estimated FLOPs with those of what was generated, and bytes of memory at the
    most.
    """
    task = f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"
    records: list[Mapping[str, Any]] = [each.finished(task) or {} for each in runs]
    spent: dict[str, list[Any]] = {key: [record.get(key) for record in records] for key in ("seconds", "processor")}
    for key in ("tokens", "generated", "flops", "memory"):
        spent[key] = [record.get("summary", {}).get(key) for record in records]
    return {key: None if None in values else round(fmean(values), 2) for key, values in spent.items()}
