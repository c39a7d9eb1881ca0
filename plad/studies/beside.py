"""What stands beside the judge's columns of a study's table: the other scorers of its runs, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from plad.evaluation.calibration import Calibration, calibration
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean_over_seeds, wins
from plad.records import Score, ScoredSample, read_jsonl
from plad.report.numbers import MISSING, interval, percent
from plad.runs import Run

MEASURES = {"pairwise_accuracy": "Better sample likelier, %", "rank_correlation": "Rank correlation"}

NOTE = (
    "Each scorer's mean score, in its own unit, and its wins over the initial student, ties half. Calibration: of two "
    "samples of a model to a prompt that differ in quality, how often the better one is the likelier one (50 is "
    "chance), and the rank correlation of likelihood and quality; a dash where it was not measured. In brackets 95 % "
    "intervals, as above."
)


def scores_of(
    runs: Sequence[Run], name: str, before: Sequence[Run], scorers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """By scorer `mean`, `win_rate` and `against_initial` of a model, each an estimate over the seeds.

    Args:
        before: the runs of the same seeds whose initial student the model is compared with.
        scorers: those of the runs beside their judge.
    """
    return {scorer["name"]: _scored(runs, name, before, scorer["name"]) for scorer in scorers}


def calibration_of(runs: Sequence[Run], name: str) -> dict[str, Any] | None:
    """How far a model's likelihood tracks quality, over the seeds; None where a run has not measured it."""
    if not all(_samples_file(run, name).is_file() for run in runs):
        return None
    found = [_calibration(run, name) for run in runs]
    return {
        "pairwise_accuracy": _pooled([each.accuracies for each in found]),
        "rank_correlation": _pooled([each.correlations for each in found]),
    }


def measured(table: Mapping[str, Any]) -> bool:
    """Whether there is anything beside the judge's columns."""
    return bool(table["scorers"]) or any(row["calibration"] for row in table["rows"])


def values(table: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The estimates of a row beside the judge's, by what a machine calls them; None where one was not measured."""
    found: dict[str, Any] = {}
    for name, told in row["scores"].items():
        found |= {name: told["mean"], f"{name}_against_initial": told["against_initial"]}
    calibrated = row["calibration"] or {}
    return (found | {key: calibrated.get(key) for key in MEASURES}) if measured(table) else {}


def heads(table: Mapping[str, Any]) -> list[str]:
    """The headings of what `cells` says of a row."""
    named = [head for scorer in table["scorers"] for head in (scorer["name"], f"{scorer['name']}: wins vs. initial, %")]
    return [*named, *MEASURES.values()]


def cells(table: Mapping[str, Any], row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each number of a row beside the judge's, and its interval."""
    shares = ("_against_initial", "pairwise_accuracy")
    found = values(table, row).items()
    return [_share(estimate) if key.endswith(shares) else _plain(estimate) for key, estimate in found]


def legend(table: Mapping[str, Any]) -> str:
    """What each scorer is, and how the numbers are to be read."""
    return " ".join([*(f"{scorer['name']}: {scorer['description']}." for scorer in table["scorers"]), NOTE])


def _scored(runs: Sequence[Run], name: str, before: Sequence[Run], scorer: str) -> dict[str, Any]:
    own = [_scores(run, scorer, name) for run in runs]
    over = [outcomes_against(rows, _scores(run, scorer, "student")) for rows, run in zip(own, before, strict=True)]
    return {
        "mean": mean_over_seeds([[row.score for row in rows] for rows in own]).to_json(),
        "win_rate": mean_over_seeds(
            [wins([row.score for row in rows], [row.reference_score for row in rows]) for rows in own]
        ).to_json(),
        "against_initial": None if name == "student" else mean_over_seeds(over).to_json(),
    }


def _scores(run: Run, scorer: str, name: str) -> list[Score]:
    return list(read_jsonl(run.path("evaluation", "scores", scorer, f"{name}.jsonl"), Score))


def _samples_file(run: Run, name: str) -> Any:
    return run.path("evaluation", "calibration", f"{name}.jsonl")


def _calibration(run: Run, name: str) -> Calibration:
    samples = read_jsonl(_samples_file(run, name), ScoredSample)
    rows = [list(some) for _, some in groupby(samples, key=lambda sample: sample.id)]
    return calibration(*([[getattr(one, what) for one in row] for row in rows] for what in ("logp", "score")))


def _pooled(by_seed: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """Over the prompts where it is defined; None where it is nowhere."""
    defined = [[value for value in values if value is not None] for values in by_seed]
    return mean_over_seeds(defined).to_json() if all(defined) else None


def _share(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    return (percent(estimate["value"]), interval(estimate)) if estimate else (MISSING, "")


def _plain(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    if estimate is None:
        return MISSING, ""
    value, low, high = (f"{estimate[key]:.2f}" for key in ("value", "low", "high"))
    return value, f"{low}–{high}" if float(low) >= 0 else f"{low} to {high}"
