"""The estimate for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from plad.estimate.lines import Line, bottleneck, total
from plad.report.numbers import duration

NONE = "–"


def table(lines: Sequence[Line], budget: float | None = None, gpu_hour: float = 0.0) -> str:
    """A row a task, the sum, and what to know of it.

    Args:
        budget: what the servers may cost in all.
        gpu_hour: price of an hour of one GPU.
    """
    every = total(lines)
    columns = _columns(gpu_hour, with_gpus=every.gpu_hours > 0)
    rows = [list(columns), *([column(line) for column in columns.values()] for line in (*lines, every))]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    told = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in (*told, *_remarks(lines, every, budget, gpu_hour)))


def _columns(gpu_hour: float, with_gpus: bool) -> dict[str, Callable[[Line], str]]:
    """By its head what a column says of a line."""
    counts = {"prompts": "prompts", "prompt tokens": "prompt_tokens", "answer tokens": "tokens", "requests": "requests"}
    columns: dict[str, Callable[[Line], str]] = {"": lambda line: line.task}
    columns |= {head: lambda line, name=name: _count(getattr(line, name)) for head, name in counts.items()}  # type: ignore[misc]
    columns["money"] = lambda line: _money(line, line.money)
    columns["at most"] = lambda line: _money(line, line.money_at_most)
    columns["TFLOP"] = lambda line: f"{line.flops / 1e12:,.2f}" if line.flops else NONE
    columns["time"] = _time
    if with_gpus:
        columns["GPU hours"] = lambda line: f"{line.gpu_hours:,.1f}" if line.gpu_hours else NONE
    if with_gpus and gpu_hour:
        columns["rent"] = lambda line: f"{line.gpu_hours * gpu_hour:,.2f}" if line.gpu_hours else NONE
    return columns


def _count(value: Any) -> str:
    return f"{value:,}" if value else NONE


def _money(line: Line, amount: float) -> str:
    return f"{amount:.2f}" if line.requests or line.kept else NONE


def _time(line: Line) -> str:
    """Of a server that names no limit nobody knows."""
    return "unknown" if line.requests and line.hours is None else duration((line.hours or 0.0) * 3600)


def _remarks(lines: Sequence[Line], every: Line, budget: float | None, gpu_hour: float) -> list[str]:
    told = [
        f"{line.task}: {line.kept:,} answers are in the store already, and cost nothing." for line in lines if line.kept
    ]
    if every.gpu_hours and (slowest := bottleneck(lines)) and slowest.hours and every.hours:
        why = f", most of it {slowest.bound}" if slowest.bound else ""
        told.append(f"Slowest: {slowest.task}, {100 * slowest.hours / every.hours:.0f} % of the time{why}.")
    if waiting := [line for line in lines if line.idle]:
        told.append(
            f"{waiting[0].task}: {waiting[0].idle} GPUs have nothing to do. More workers of a sample.backend of type "
            "ray use them."
        )
    if every.gpu_hours and gpu_hour:
        rent = every.gpu_hours * gpu_hour
        told.append(f"In all {rent + every.money:,.2f}: {rent:,.2f} for GPUs, {every.money:,.2f} for servers.")
    if budget is not None and every.money_at_most > budget:
        told.append(
            f"Up to {every.money_at_most:.2f} may be spent, which is over the budget of {budget:g}: "
            "the run may stop there."
        )
    return told
