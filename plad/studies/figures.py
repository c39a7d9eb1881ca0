"""What the studies share: arms of one recipe over seeds, and a figure of them as plot, page, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plad.config import Recipe, changed
from plad.evaluation.statistics import Estimate, mean_over_seeds, wins
from plad.progress import Display
from plad.records import EvalRow, read_jsonl
from plad.report.numbers import MISSING, interval, percent
from plad.report.read import hue_of
from plad.report.sheet import csv_text
from plad.runs import Run, write_json, write_text
from plad.studies.cells import Cell, run_cells
from plad.studies.render import subject_row
from plad.studies.table1 import check_seeds, collect

ONE_ANSWER = (
    *("distill.rounds=1", "sample.samples=1", "teacher.samples=1"),
    *("pairs.positives=first", "pairs.negatives=first"),
)
"""The settings of plain PLaD: one round, from the first answer of each model."""

ROUNDS, ANSWERS = 3, 4
SEVERAL = (f"sample.samples={ANSWERS}", "teacher.samples=1")
"""Of forms of PLaD that differ from it: as many rounds, or answers to a prompt, of the student alone in SEVERAL."""

ALONE = "baselines={sft: null, seqkd: null}"
"""The setting by which a run trains no method but the one it is about."""


@dataclass(frozen=True)
class Arm:
    """One setting of what a study varies; `name` is that of its folders."""

    name: str
    x: float | str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """An estimate of one series at one place. `hue` is a colour of the report."""

    series: str
    hue: str
    x: float | str
    estimate: Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """What came of a study. `rule` is a share that the plot marks by a line."""

    name: str
    title: str
    x_name: str
    seeds: tuple[int, ...]
    note: str
    points: tuple[Point, ...]
    rule: float | None = 0.5

    def to_json(self) -> dict[str, Any]:
        """The figure with its points as `{"series", "x", "value", "low", "high", "n"}`."""
        rows = [{"series": p.series, "x": p.x, **_numbers(p.estimate)} for p in self.points]
        return {**asdict(self), "points": rows}


def run_seeds(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display) -> list[Run]:
    """The recipe as it is, by each seed."""
    return run_arms(recipe, folder, [Arm("run", "", ())], seeds, display)["run"]


def run_arms(
    recipe: Recipe, folder: Path, arms: Sequence[Arm], seeds: Sequence[int], display: Display
) -> dict[str, list[Run]]:
    """The runs of each arm by its name, one a seed; what arms have in common is done once.

    Raises:
        PladError: an arm's settings make no sense, which is found before anything runs, or what a run raises.
    """
    check_seeds(seeds)
    cells = [Cell(f"{arm.name}-seed-{n}", changed(recipe, [*arm.settings, f"seed={n}"])) for arm in arms for n in seeds]
    runs = run_cells(cells, folder, display)
    return {arm.name: runs[k * len(seeds) : (k + 1) * len(seeds)] for k, arm in enumerate(arms)}


def subject_points(arms: Sequence[Arm], runs: Mapping[str, Sequence[Run]]) -> list[Point]:
    """The method that the runs are about, against the initial student and against the reference, by arm."""
    points = []
    for arm in arms:
        table = collect(runs[arm.name])
        row = subject_row(table)
        points.append(Point("over the initial student", "plad", arm.x, row["against_initial"]))
        points.append(Point("over the reference", "other", arm.x, row["win_rate"]))
    return points


def wins_over(runs: Sequence[Run], name: str, others: Sequence[Run], other: str) -> Estimate:
    """How often a model wins over another of the same seed. Under a pairwise judge they meet through the references."""
    return mean_over_seeds([wins(_scores(a, name), _scores(b, other)) for a, b in zip(runs, others, strict=True)])


def _scores(run: Run, name: str) -> list[float]:
    return [row.score for row in read_jsonl(run.path("evaluation", f"{name}.jsonl"), EvalRow)]


def model_points(arms: Sequence[Arm], runs: Mapping[str, Sequence[Run]], key: str) -> list[Point]:
    """One of a table's numbers for every model of the runs, by arm."""
    points = []
    for arm in arms:
        table = collect(runs[arm.name])
        names = [row["name"] for row in table["rows"]]
        for row in table["rows"]:
            if row[key] is not None:
                points.append(Point(row["label"], hue_of(row["name"], table["subject"], names), arm.x, row[key]))
    return points


def write_by_model(
    figure: Figure, arms: Sequence[Arm], runs: Mapping[str, Sequence[Run]], folder: Path, recipe: Recipe
) -> dict[str, Any]:
    """Every model's wins over the reference, as the paper has them, and in NAME-initial those over the initial student.

    Where references are far ahead of all models, the latter tell models apart that the former do not.

    Args:
        figure: without points; its note goes on from what the wins are over.

    Returns:
        What NAME.json holds.
    """
    found: dict[str, Any] = {}
    for key, name, whom, rule in (
        ("win_rate", figure.name, "the reference", None),
        ("against_initial", f"{figure.name}-initial", "the initial student", 0.5),
    ):
        one = replace(
            figure,
            name=name,
            title=figure.title.replace("Win rate", f"Win rate over {whom}"),
            note=f"Win rates over {whom} by the run's judge on the test split. {figure.note}",
            points=tuple(model_points(arms, runs, key)),
            rule=rule,
        )
        found[name] = write_figure(one, folder, recipe)
    return dict(found[figure.name])


def write_figure(figure: Figure, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """NAME.json, .csv, .md, .svg and .html in the folder; returns what the first holds."""
    found = figure.to_json()
    write_json(folder / f"{figure.name}.json", found)
    write_text(folder / f"{figure.name}.csv", csv_of(figure))
    write_text(folder / f"{figure.name}.md", markdown_of(figure))
    # Drawing needs matplotlib, which takes most of a second to import.
    from plad.studies.figure_page import draw_page

    svg, html = draw_page(figure, recipe.to_yaml())
    write_text(folder / f"{figure.name}.svg", svg)
    write_text(folder / f"{figure.name}.html", html)
    return found


def csv_of(figure: Figure) -> str:
    """One row a point."""
    head = ["series", "x", "value", "low", "high", "n"]
    return csv_text([head, *([p.series, p.x, *_numbers(p.estimate).values()] for p in figure.points)])


def markdown_of(figure: Figure) -> str:
    """One row a place, one column a series."""
    series = list(dict.fromkeys(point.series for point in figure.points))
    cells = {(p.x, p.series): f"{percent(p.estimate['value'])} ({interval(p.estimate)})" for p in figure.points}
    rows = [[str(x), *(cells.get((x, one), MISSING) for one in series)] for x in places(figure)]
    head = [[figure.x_name, *series], ["---", *["--:"] * len(series)]]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in [*head, *rows]]
    seeds = ", ".join(map(str, figure.seeds))
    return "\n".join([f"**{figure.title}** · seeds {seeds}", "", *lines, "", figure.note]) + "\n"


def places(figure: Figure) -> list[float | str]:
    """The places on the x axis, in the order in which they first come."""
    return list(dict.fromkeys(point.x for point in figure.points))


def _numbers(estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {key: estimate[key] for key in ("value", "low", "high", "n")}
