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
from plad.evaluation.statistics import mean, paired_difference, win_rate, wins
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
    """Run what is not done yet, and write table1.json, .md and .csv into the folder.

    Args:
        trials: settings to try for each method on the validation split beforehand; 0 for those of the recipe.

    Returns:
        What table1.json holds: `seeds`, `n`, `subject`, `teacher_student` and `rows`. Numbers are
        `{"value", "low", "high", "n"}` over the prompts of all seeds together; win rates and ROUGE are shares.

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
    return table


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
    teacher, before = (_scores(_pooled(rows[name])) for name in ("teacher", "student"))
    return {
        "n": len(before),
        "subject": subject,
        "scorer": results[0]["scorer"],
        "teacher_student": win_rate(teacher, before).to_json(),
        "rows": [
            {
                "name": name,
                "label": label,
                **_numbers(rows[name]),
                "against_subject": None if name == subject else _against(rows[name], rows[subject]),
                **_cost(runs, name),
            }
            for name, label in labels.items()
        ],
    }


def _numbers(by_seed: Sequence[Rows]) -> dict[str, Any]:
    together = _pooled(by_seed)
    means = {key: mean([float(getattr(row, key)) for row in together]).to_json() for key in MEANS}
    rates = [float(_wins(rows).mean()) for rows in by_seed]
    return {**means, "win_rate": mean(_wins(together)).to_json(), "win_rate_by_seed": rates}


def _against(by_seed: Sequence[Rows], subject: Sequence[Rows]) -> dict[str, Any]:
    """By how much a method's win rate against the reference exceeds the subject's, paired by seed and prompt."""
    difference = paired_difference(_wins(_pooled(by_seed)), _wins(_pooled(subject)))
    return {**difference.to_json(), "significant": difference.low > 0 or difference.high < 0}


def _wins(rows: Rows) -> Any:
    return wins(_scores(rows), [row.reference_score for row in rows])


def _scores(rows: Rows) -> list[float]:
    return [row.score for row in rows]


def _pooled(by_seed: Sequence[Rows]) -> Rows:
    return [row for rows in by_seed for row in rows]


def _rows(each: Run, name: str) -> Rows:
    """In the order of the test prompts, which is that of every model of a run."""
    return list(read_jsonl(each.path("evaluation", f"{name}.jsonl"), EvalRow))


def _cost(runs: Sequence[Run], name: str) -> dict[str, float | None]:
    """Seconds and tokens of a student's training, the mean over the seeds; None where it was not trained."""
    task = f"sft/{name}" if name in ("teacher", "student") else f"distill/{name}"
    records: list[Mapping[str, Any]] = [each.finished(task) or {} for each in runs]
    spent = {
        "seconds": [record.get("seconds") for record in records],
        "tokens": [record.get("summary", {}).get("tokens") for record in records],
    }
    return {key: None if None in values else round(fmean(values), 2) for key, values in spent.items()}
