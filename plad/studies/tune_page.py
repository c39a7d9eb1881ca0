"""What `plad tune` leaves: the better recipe, a page with a plot of what mattered, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.report.figure import standalone
from plad.report.numbers import MISSING, duration, interval, percent
from plad.report.quality import points
from plad.report.study import StudyPage, render_study
from plad.report.table import Cell, PageRow
from plad.report.tuning import Tried, setting_label, tuning_chart, value_text
from plad.runs import write_json, write_text

RATE = "Wins vs. initial, %"
NOTE = "On the validation split; in brackets 95 % intervals. An early end is after a quarter of the steps."


def write_pages(found: Mapping[str, Any], better: Recipe, folder: Path) -> None:
    """recipe.yaml, and tune.html, .md, .svg and .json."""
    chart = tuning_chart(_whole(found), found["importance"])
    rows = [_row(found, place) for place in range(len(found["trials"]))]
    page = StudyPage(
        title=f"Tuning: {better.name}",
        kicker=f"{len(rows)} trials · seed {better.seed}",
        verdict=verdict(found),
        support=tuple(_support(found)),
        rows=tuple(rows),
        note=NOTE,
        charts=(chart,),
        recipe=better.to_yaml(),
    )
    write_text(folder / "recipe.yaml", better.to_yaml())
    write_json(folder / "tune.json", found)
    write_text(folder / "tune.svg", standalone(chart))
    write_text(folder / "tune.html", render_study(page))
    write_text(folder / "tune.md", _markdown(page, found, folder))


def verdict(found: Mapping[str, Any]) -> str:
    """Whether anything beat the recipe's own settings, in a sentence that claims no more than the interval."""
    gain, count = found["gain"], len(found["trials"])
    if found["best"] == 0:
        return f"None of {count} trials did better than the recipe's own settings on the validation split."
    if gain is None:
        return f"Trial {found['best'] + 1} of {count} is the best on the validation split; the recipe's own diverged."
    ahead = f"Trial {found['best'] + 1} of {count} is ahead of the recipe's own settings on the validation split by "
    shown = "" if gain["low"] > 0 else ", which does not exclude that they are equal"
    return f"{ahead}{points(gain)}{shown}."


def _support(found: Mapping[str, Any]) -> list[str]:
    trials = found["trials"]
    early = sum(trial["value"] is None and not trial["diverged"] for trial in trials)
    diverged = sum(trial["diverged"] for trial in trials)
    told = [f"The search took {duration(sum(trial['seconds'] for trial in trials))}; {early} trials ended early."]
    if diverged:
        told.append(f"{diverged} trials diverged.")
    if found["best"]:
        told.append(
            "The best of several looks better than it is: the test split, which the search never saw, will tell."
        )
    if found["importance"]:
        name, share = max(found["importance"].items(), key=lambda item: item[1])
        told.append(f"What mattered most was {name}: {percent(share)} % of the difference between good and bad trials.")
    return told


def _whole(found: Mapping[str, Any]) -> list[Tried]:
    return [
        Tried(f"Trial {place + 1}", trial["settings"], trial["estimate"], place == found["best"])
        for place, trial in enumerate(found["trials"])
        if trial["estimate"] is not None
    ]


def _row(found: Mapping[str, Any], place: int) -> PageRow:
    trial, chosen = found["trials"][place], place == found["best"]
    own = ", the recipe's own" if place == 0 else ""
    settings = [Cell(setting_label(name, {}), value_text(value)) for name, value in trial["settings"].items()]
    return PageRow(
        f"Trial {place + 1}{own}",
        "plad" if chosen else "other",
        (*settings, _rate(trial, chosen)),
        trial["value"] is None,
    )


def _rate(trial: Mapping[str, Any], chosen: bool) -> Cell:
    if trial["estimate"] is not None:
        return Cell(RATE, percent(trial["value"]), interval(trial["estimate"]), chosen)
    if trial["diverged"]:
        return Cell(RATE, "diverged")
    return Cell(RATE, MISSING if trial["short"] is None else f"ended at {percent(trial['short'])}")


def _markdown(page: StudyPage, found: Mapping[str, Any], folder: Path) -> str:
    heads = ["Trial", *(cell.head for cell in page.rows[0].cells)]
    lines = [_line(heads), _line(["---", *["--:"] * (len(heads) - 1)])]
    lines += [_line([row.label, *map(_text, row.cells)]) for row in page.rows]
    told = [f"# {page.title}", f"**{page.verdict}**", "\n".join(f"- {line}" for line in page.support)]
    return "\n\n".join([*told, "\n".join(lines), NOTE, f"The better recipe: `{folder / 'recipe.yaml'}`"]) + "\n"


def _text(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
