"""A study's table as Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.numbers import MISSING, duration, interval, percent, plain
from plad.report.sheet import csv_text
from plad.studies.beside import cells as cells_beside
from plad.studies.beside import heads as heads_beside
from plad.studies.beside import legend, measured, values

SHARES = {"rouge1": "R-1", "rouge2": "R-2", "rougeL": "R-L", "win_rate": "RM WR"}


def markdown_table(table: Mapping[str, Any]) -> str:
    """The paper's columns, then each method beside the subject and the initial student, and what its training took."""
    subject = subject_row(table)["label"]
    heads = ["Method", "Words", *SHARES.values(), "RM WR by seed", f"RM WR − {_inline(subject)}'s", "Wins vs. initial"]
    heads += [head for head, *_ in COSTS.values()]
    lines = [_header(table), "", _line(heads), _line(["---", *["--:"] * (len(heads) - 1)])]
    lines += [*(_line(_cells(row)) for row in table["rows"]), "", NOTE]
    return "\n".join([*lines, *_beside(table), *_warnings(table)]) + "\n"


def _warnings(table: Mapping[str, Any]) -> list[str]:
    """What evaluation has to say against the models, in the words of each run's own report."""
    told = [f"- {each['run']}: {sentence}" for each in table.get("warnings", ()) for sentence in each["told"]]
    return ["", "Warnings:", "", *told] if told else []


def _beside(table: Mapping[str, Any]) -> list[str]:
    """A second table, of the other scorers and of calibration, where there is any of them."""
    if not measured(table):
        return []
    names = ["Method", *heads_beside(table)]
    lines = [_line(names), _line(["---", *["--:"] * (len(names) - 1)])]
    for row in table["rows"]:
        told = (f"{number} ({bounds})" if bounds else number for number, bounds in cells_beside(table, row))
        lines.append(_line([_inline(row["label"]), *told]))
    return ["", *lines, "", legend(table)]


COSTS = {
    "seconds": ("Training, s", 1.0, 0),
    "processor": ("Processor, s", 1.0, 0),
    "tokens": ("Tokens trained", 1.0, 0),
    "generated": ("Tokens generated", 1.0, 0),
    "flops": ("TFLOP", 1e12, 1),
    "memory": ("Memory, MB", 1e6, 0),
}
"""What a training took: the heading, the unit that it is written in, and its decimals."""

NOTE = (
    "Shares in per cent, means over the seeds. RM WR: wins over the human reference by the run's judge, ties half. In "
    "brackets 95 % intervals, a bootstrap over seeds and then over the prompts of each: they have the spread between "
    "seeds in them. Differences are paired by seed and prompt; a star marks those whose interval leaves out 0, with no "
    "correction for their number. Training is by the clock; the processor's seconds are those of all its cores. Tokens "
    "trained are those of the student's passes, without what a teacher reads; generated are those of the answers "
    "learnt from, and of what is drawn in training. TFLOP is an estimate of both. Memory is the most that the training "
    "process held, its libraries included, or that tensors took on a GPU."
)


def subject_row(table: Mapping[str, Any]) -> Any:
    """That of the method that the runs are about."""
    return next(row for row in table["rows"] if row["name"] == table["subject"])


def csv_table(table: Mapping[str, Any]) -> str:
    """One row a method; every number with its interval in columns of its own."""
    keys = ["words", *SHARES, "against_subject", "against_initial"]
    lines: list[list[Any]] = [
        ["name", "label", *_parts([*keys, *values(table, table["rows"][0])]), "win_rate_by_seed", *COSTS]
    ]
    for row in table["rows"]:
        found = {**{key: row[key] for key in keys}, **values(table, row)}
        numbers = [(estimate or {}).get(part, "") for estimate in found.values() for part in ("value", "low", "high")]
        rates = " ".join(map(str, row["win_rate_by_seed"]))
        lines.append([row["name"], row["label"], *numbers, rates, *(row[key] for key in COSTS)])
    return csv_text(lines)


def _parts(names: Sequence[str]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _header(table: Mapping[str, Any]) -> str:
    gap, seeds = table["teacher_student"], ", ".join(map(str, table["seeds"]))
    told = f"T-S WR {percent(gap['value'])} ({interval(gap)})"
    took = f" · {duration(table['processor'])} of the processor a seed" if table["processor"] else ""
    return f"**{told}** · {table['n']:,} test prompts in all · seeds {seeds} · judge {table['scorer']['name']}{took}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    words = f"{plain(row['words']['value'])} ({interval(row['words'], share=False)})"
    shares = [f"{percent(row[key]['value'])} ({interval(row[key])})" for key in SHARES]
    by_seed = ", ".join(map(percent, row["win_rate_by_seed"]))
    initial = row["against_initial"]
    over = f"{percent(initial['value'])} ({interval(initial)})" if initial else MISSING
    return [_inline(row["label"]), words, *shares, by_seed, _difference(row["against_subject"]), over, *costs(row)]


def costs(row: Mapping[str, Any]) -> list[str]:
    """What a row's training took, in the order of COSTS."""
    written = COSTS.items()
    return [MISSING if row[key] is None else f"{row[key] / unit:,.{digits}f}" for key, (_, unit, digits) in written]


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return MISSING
    value, low, high = (f"{100 * found[key]:+.1f}" for key in ("value", "low", "high"))
    star = r"\*" if found["significant"] else ""
    return f"{value} ({low} to {high}){star}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(text: str) -> str:
    return text.replace("|", "\\|")
