"""What there is to see of runs, without running anything: `plad status`, `list`, `show` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plad.commands.options import RunPath, dumped, for_machines, to_look_at
from plad.errors import PladError

if TYPE_CHECKING:
    from rich.text import Text

    from plad.status import Status

RUN = RunPath()

STYLES = {"running": "cyan", "finished": "green", "failed": "red", "killed": "red", "stopped": "yellow"}


@click.command()
@click.argument("run", type=RUN)
@for_machines
def status(run: Path | str, as_json: bool) -> None:
    """How far RUN has come: not begun, running, killed, stopped, failed and why, partly done, or finished."""
    from plad.status import status as status_of

    found = status_of(to_look_at(run))
    if as_json:
        click.echo(dumped({"event": "status", **found.to_json()}))
        return
    from rich.text import Text

    from plad.progress.terminal import console
    from plad.report.example import visible

    out = console()
    out.print(Text(f"{run}: ").append_text(_state(found)).append(f", {found.done} of {len(found.tasks)} tasks done"))
    if found.reason:
        out.print(Text(f"  {visible(found.reason)}"))
    out.print(_stages(found))
    if found.edited:
        out.print(Text("recipe.yaml was edited since; what depends on the edit runs again."))
    if told := _wins(found):
        out.print(Text(told))
    out.print(Text(f"next: {_next(found)}"), soft_wrap=True)


@click.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@for_machines
def list_runs(folder: Path, as_json: bool) -> None:
    """The runs in FOLDER [default: runs], how far each has come, and what its student wins."""
    from plad.status import runs_below
    from plad.status import status as status_of

    if not folder.is_dir():
        raise PladError(f"there is no folder {folder} with runs in it. `plad run RECIPE` makes one in runs/.")
    found = [status_of(run) for run in runs_below(folder)]
    if as_json:
        for one in found:
            click.echo(dumped({"event": "status", **one.to_json()}))
        return
    from plad.progress.terminal import console

    console().print(_list(found))


@click.command()
@click.argument("run", type=RUN)
@click.option("--example", metavar="N|ID", help="A test prompt by its number or id [default: the results table]")
@for_machines
def show(run: Path | str, example: str | None, as_json: bool) -> None:
    """The results of RUN; or one test prompt, its reference, and every model's answer with its scores."""
    from plad.progress.terminal import console
    from plad.report.example import example_json, example_text, find_example
    from plad.report.read import read_run

    files = read_run(to_look_at(run))
    if example is not None:
        found = find_example(files, example)
        if as_json:
            click.echo(dumped({"event": "example", **example_json(files, *found)}))
        else:
            console().print(example_text(files, *found))
        return
    if files.results is None:
        raise PladError(f"results come of the evaluation, but {run} has none yet. Run: plad run {run}")
    if as_json:
        click.echo(dumped({"event": "results", **files.results}))
        return
    from plad.report import terminal_table
    from plad.report.verdict import verdict

    out = console()
    out.print(terminal_table(files.results, out.width))
    out.print(verdict(files.results), markup=False)


@click.command()
@click.argument("a", type=RUN)
@click.argument("b", type=RUN)
@for_machines
def diff(a: Path | str, b: Path | str, as_json: bool) -> None:
    """What differs between the runs A and B: recipes, versions, models, and results on the same prompts."""
    from plad.difference import difference

    found = difference(to_look_at(a), to_look_at(b))
    if as_json:
        click.echo(dumped({"event": "diff", **found.to_json()}))
        return
    from rich.text import Text

    from plad.progress.terminal import console
    from plad.report.difference import difference_tables

    out = console()
    out.print(Text(f"A: {a}\nB: {b}"), soft_wrap=True)
    if not found.recipe:
        out.print("Their recipes are equal.")
    for table in difference_tables(found.to_json()):
        out.print(table)
    for line in found.apart:
        out.print(Text(line))


def _state(found: Status) -> Text:
    from rich.text import Text

    return Text(found.state, STYLES.get(found.state, ""))


def _stages(found: Status) -> Any:
    from rich.table import Table
    from rich.text import Text

    from plad.report.numbers import duration

    table = Table.grid(padding=(0, 2, 0, 0))
    for stage, tasks in found.stages.items():
        done = [seconds for seconds in tasks.values() if seconds is not None]
        mark = "✓" if len(done) == len(tasks) else "·"
        under_way = found.doing if found.doing in tasks else ""
        if under_way:
            mark = "●" if found.state == "running" else "✗"
        table.add_row(
            f"  {mark}", stage, f"{len(done)}/{len(tasks)}", duration(sum(done)) if done else "", Text(under_way or "")
        )
    return table


def _wins(found: Status) -> str:
    """Win rates over the initial student; over the references as long as there are no others."""
    from plad.report.numbers import interval, percent

    for other, who in (("initial", "the initial student"), ("reference", "the references")):
        rates = {name: rate for name, wins in found.wins.items() if (rate := wins.get(other))}
        if rates:
            told = (f"{name} {percent(rate['value'])} % ({interval(rate)})" for name, rate in rates.items())
            return f"wins over {who}: {', '.join(told)}"
    return ""


def _next(found: Status) -> str:
    from shlex import quote

    folder = quote(found.folder)
    return f"plad show {folder}" if found.state == "finished" and not found.edited else f"plad run {folder}"


def _list(found: list[Status]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("Run", "State", "Tasks", "Last task", "Wins"):
        table.add_column(head, overflow="fold")
    for one in found:
        last = (one.updated or "")[:16].replace("T", " ")
        table.add_row(Text(one.folder), _state(one), f"{one.done}/{len(one.tasks)}", last, Text(_subject(one)))
    return table


def _subject(found: Status) -> str:
    """What the student that the run is about wins, which comes last."""
    from plad.report.numbers import percent

    name = list(found.wins)[-1] if found.wins else ""
    rate = found.wins[name].get("initial") if name else None
    return f"{name} {percent(rate['value'])} % over initial" if rate else ""
