"""`plad report`, of one run or of several beside each other."""

from __future__ import annotations

from pathlib import Path

import click

from plad.commands.options import RunPath, dumped, for_machines, overriding, quiet, to_look_at
from plad.commands.stages import STAGES, run_stage
from plad.errors import PladError


@click.command("report", short_help=f"{STAGES['report']} Of several runs: compare them.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=RunPath())
@click.option("--force", is_flag=True, help="Write it again even if it is done.")
@click.option("--out", type=click.Path(path_type=Path), help="Page to write of several runs [default: comparison.html]")
@overriding
@for_machines
def report(
    runs: tuple[Path | str, ...], force: bool, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Write report.html and report.md of RUN, which is a run folder, or a recipe.

    Several run folders are compared on one page: verdicts side by side, the runs of one recipe pooled over their seeds,
    and how the recipes differ.
    """
    if len(runs) == 1:
        if out is not None:
            raise PladError("the report of one run is in its folder, report.html. Give --out with several runs.")
        run_stage("report", runs[0], force, overrides, as_json)
        return
    if force or overrides:
        raise PladError("several runs are compared as they are. Give --force and --set with one run.")
    quiet()
    from plad.studies.several import report_several

    folders = [to_look_at(run) for run in runs]
    page, text, tables = report_several(folders, out or Path("comparison.html"))
    if as_json:
        click.echo(dumped({"event": "comparison", "report": str(page), "tables": tables}))
        return
    click.echo(text.read_text(encoding="utf-8"))
    click.echo(f"report: {page}")
