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
        What table1.json holds: `seeds`, `n`, `subject`, `teacher_student` and `rows`. Numbers are
        `{"value", "low", "high", "n"}`, means over the seeds as `mean_over_seeds` says; win rates and ROUGE are shares.

    Raises:
        PladError: no seed or one twice, or what a run raises.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise PladError(f"a study needs one seed or more, each once, but has {list(seeds)}. Name others by --seeds.")
    if trials:
        recipe = sweep(recipe, folder, trials, display)
    runs = run_cells([Cell(f"seed-{n}", recipe.model_copy(update={"seed": n})) for n in seeds], folder, display)
    table = {"seeds": list(seeds), **collect(runs)}
    write_json(folder / "table1.json", table)
    write_text(folder / "table1.md", markdown_table(table))
    write_text(folder / "table1.csv", csv_table(table))
    write_text(folder / "table1.html", _page(table, recipe))
    return table


def _page(table: dict[str, Any], recipe: Recipe) -> str:
    # Charts need matplotlib, which takes most of a second to import; `plad --help` shouldn't pay that.
    from plad.studies.page import html_page

    return html_page(table, f"Table 1: {recipe.task.source.type}", recipe.to_yaml())


def collect(runs: Sequence[Run]) -> dict[str, Any]:
    """One table of finished runs that have the same models, each on test prompts of its own.

    Raises:
        PladError: the runs have not the same models.
    """
    results = [json.loads(each.path("evaluation", "results.json").read_text(encoding="utf-8")) for each in runs]
    labels = {row["name"]: row["label"] for row in results[0]["rows"]}
    for each, result in zip(runs, results, strict=True):
        if [row["name"] for row in result["rows"]] != list(labels):
            raise PladError(f"a table has the same models for every seed, but {each.folder} has others. Run it again.")
    rows = {name: [_rows(each, name) for each in runs] for name in labels}
    subject = str(results[0]["subject"])
    gap = [wins(_scores(a), _scores(b)) for a, b in zip(rows["teacher"], rows["student"], strict=True)]
    return {
        "n": sum(map(len, gap)),
        "subject": subject,
        "scorer": results[0]["scorer"],
        "teacher_student": mean_over_seeds(gap).to_json(),
        "rows": [
            {
                "name": name,
                "label": label,
                **_numbers(rows[name]),
                "against_initial": None if name == "student" else _over_initial(rows[name], rows["student"]),
                "against_subject": None if name == subject else _against(rows[name], rows[subject]),
                **_cost(runs, name),
            }
            for name, label in labels.items()
        ],
    }


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


def _cost(runs: Sequence[Run], name: str) -> dict[str, float | None]:
    """What a student's training took, the mean over the seeds; None where it was not trained, or not measured.

    Seconds, tokens of its passes, tokens generated for it (answers that it learns from, and what was drawn meanwhile),
    estimated FLOPs with those of what was generated, and bytes of memory at the most.
    """
    task = f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"
    records: list[Mapping[str, Any]] = [each.finished(task) or {} for each in runs]
    spent: dict[str, list[Any]] = {"seconds": [record.get("seconds") for record in records]}
    for key in ("tokens", "generated", "flops", "memory"):
        spent[key] = [record.get("summary", {}).get(key) for record in records]
    return {key: None if None in values else round(fmean(values), 2) for key, values in spent.items()}
