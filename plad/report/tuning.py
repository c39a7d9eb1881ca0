"""What a search of settings showed: every setting against the win rate of the trials, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plad.report.charts import Chart
from plad.report.numbers import MISSING, Estimate, interval, percent
from plad.report.svg import COLORS, color, draw, in_percent

PANEL = 2.4  # inches a setting


@dataclass(frozen=True)
class Tried:
    """One whole trial: its settings, its win rate, and whether it is the one that was chosen."""

    label: str
    settings: Mapping[str, float]
    estimate: Estimate
    chosen: bool


def tuning_chart(trials: Sequence[Tried], importance: Mapping[str, float]) -> Chart:
    """A panel a setting, the ones that mattered most first, and in each a dot a trial with its interval."""
    names = sorted(trials[0].settings, key=lambda name: -importance.get(name, 0.0))
    title = "Win rate over the initial student, by setting"
    best = next(trial for trial in trials if trial.chosen)
    said = ", ".join(f"{name} {value:.3g}" for name, value in best.settings.items())
    alt = (
        title,
        f"{len(trials)} trials on the validation split; the best has {percent(best.estimate['value'])} %: {said}.",
    )
    size = (PANEL * len(names), 2.9)
    svg = draw("chart-tuning", alt, size, lambda axes: _paint(axes, names, trials, importance))
    body = tuple(_numbers(trial, names) for trial in trials)
    told = "Bars: 95 % intervals. Coloured: the trial that was chosen."
    if importance:
        told += " In brackets how much of the difference between good and bad trials a setting explains."
    return Chart(title, svg, (), ("", *names, "%", "95 % interval"), body, told)


def _numbers(trial: Tried, names: Sequence[str]) -> tuple[str, ...]:
    settings = (value_text(trial.settings[name]) for name in names)
    return (trial.label, *settings, percent(trial.estimate["value"]), interval(trial.estimate))


def setting_label(name: str, importance: Mapping[str, float]) -> str:
    """A setting in words, with its share of what mattered."""
    share = importance.get(name)
    words = name.rpartition(".")[2].replace("_", " ")
    return words if share is None else f"{words} ({100 * share:.0f} %)"


def value_text(value: float | None) -> str:
    """A setting's value, short."""
    return MISSING if value is None else f"{value:.3g}"


def _paint(axes: Any, names: Sequence[str], trials: Sequence[Tried], importance: Mapping[str, float]) -> None:
    figure = axes.figure
    axes.remove()
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        # The chosen one last, so that it lies on top.
        for trial in sorted(trials, key=lambda trial: trial.chosen):
            x, look = trial.settings[name], {"color": color("plad") if trial.chosen else COLORS["muted"]}
            value, low, high = (100 * trial.estimate[key] for key in ("value", "low", "high"))
            panel.plot((x, x), (low, high), **look, linewidth=2, alpha=0.35)
            panel.plot((x,), (value,), **look, marker="o", markersize=5)
        values = [trial.settings[name] for trial in trials]
        if min(values) > 0 and max(values) / min(values) > 5:
            panel.set_xscale("log")
        panel.set_xlabel(setting_label(name, importance))
        panel.tick_params(axis="x", which="both", labelsize=7)
    in_percent(panels[0].yaxis)
    panels[0].axes.locator_params(axis="y", nbins=5)
