"""`plad run`, and a command a stage."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Any

import click

from plad.commands.options import RunPath, for_machines, overriding, quiet, to_look_at
from plad.errors import PladError
from plad.progress.terminal import waiting

STARTING = "starting …"
"""Shown while libraries are loaded, which takes seconds, and longer the first time."""

STAGES = {
    "prepare": "Read the task, drop duplicates, and divide it.",
    "sft": "Fine-tune teacher and student on the training half.",
    "sample": "Answer the distillation half with teacher and student.",
    "pair": "Make preference pairs of the answers.",
    "distill": "Train the student on the pairs, and the baselines.",
    "evaluate": "Answer the test split with every model, and judge it.",
    "report": "Write report.html and report.md.",
}


@click.command()
@click.argument("recipe", type=RunPath())
@click.option("--out", type=RunPath(), help="Run folder, or an URL such as s3://… [default: runs/NAME of the recipe]")
@click.option("--force", multiple=True, type=click.Choice(list(STAGES)), help="Run a stage again. Repeatable.")
@overriding
@for_machines
def run(
    recipe: Path | str, out: Path | str | None, force: tuple[str, ...], overrides: tuple[str, ...], as_json: bool
) -> None:
    """Run every stage of RECIPE that is not done yet.

    RECIPE is a YAML file, or a run folder to continue. Killed at any point, the same command goes on from there. A run
    behind an URL is worked on in a folder of this machine and copied as it goes, so that another machine can go on.
    """
    loaded, folder = _load(recipe, overrides)
    _run(loaded, out or folder, as_json, force=force)


def _stage_command(name: str, text: str) -> click.Command:
    @click.command(name, help=text + " RUN is a run folder, or a recipe.", short_help=text)
    @click.argument("run", type=RunPath())
    @click.option("--force", is_flag=True, help="Run it again even if it is done.")
    @overriding
    @for_machines
    def command(run: Path | str, force: bool, overrides: tuple[str, ...], as_json: bool) -> None:
        run_stage(name, run, force, overrides, as_json)

    return command


def run_stage(name: str, run: Path | str, force: bool, overrides: tuple[str, ...], as_json: bool) -> None:
    """One stage of a run folder, or of a recipe's."""
    loaded, folder = _load(run, overrides)
    _run(loaded, folder, as_json, only=name, force=[name] if force else [])


STAGE_COMMANDS = [_stage_command(name, text) for name, text in STAGES.items() if name not in ("evaluate", "report")]


@click.command("evaluate", short_help=STAGES["evaluate"])
@click.argument("run", type=RunPath(), required=False)
@click.option("--force", is_flag=True, help="Run it again even if it is done.")
@click.option("--model", "models", multiple=True, help="Hub id, folder, adapter, or file of outputs. Repeatable.")
@click.option("--data", help="JSONL, CSV or Parquet file with prompts, for --model.")
@click.option("--judge", default="rouge", show_default=True, help="Scorer for --model: its type, or a mapping in YAML.")
@click.option("--limit", type=click.IntRange(min=1), help="Prompts to take, for --model [default: all]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("comparison"), show_default=True)
@overriding
@for_machines
def evaluate(
    run: Path | str | None,
    force: bool,
    models: tuple[str, ...],
    data: str | None,
    judge: str,
    limit: int | None,
    out: Path,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Answer the test split with every model, and judge it. RUN is a run folder, or a recipe.

    Without RUN, compare any two or more models on any prompts: --model A --model B --data F. Outputs and scores stay in
    --out, so that the same command goes on where it was. --set then takes sampling.*, max_prompt_tokens and seed.
    """
    if models:
        if run is not None or data is None:
            raise PladError("--model compares models on the prompts of --data and takes no RUN. Give --data alone.")
        _compare({"models": models, "data": data, "limit": limit, "folder": out}, judge, overrides, as_json)
        return
    if run is None:
        raise PladError("evaluate takes a run folder or a recipe; or --model A --model B --data F, to compare models.")
    run_stage("evaluate", run, force, overrides, as_json)


def _compare(settings: dict[str, Any], judge: str, overrides: tuple[str, ...], as_json: bool) -> None:
    quiet()
    with waiting(STARTING):
        from plad.comparing import comparison, parse_scorer
        from plad.config import parse_settings
    from plad.progress import choose_display

    wanted = comparison(settings | {"judge": parse_scorer(judge)} | parse_settings(overrides))
    result = wanted.run(choose_display(as_json))
    if as_json:
        click.echo(json.dumps({"event": "results", **result}, ensure_ascii=False))
        return
    from plad.progress.terminal import console
    from plad.report.comparison import comparison_tables

    for table in comparison_tables(result):
        console().print(table)


def _load(path: Path | str, overrides: tuple[str, ...]) -> tuple[Any, Path | str]:
    """The recipe of a file or of a run folder, and the folder to work in."""
    quiet()
    with waiting(STARTING):
        from plad.config import load_recipe
    if isinstance(path, str):
        return load_recipe(to_look_at(path) / "recipe.yaml", overrides), path
    loaded = load_recipe(path / "recipe.yaml" if path.is_dir() else path, overrides)
    return loaded, path if path.is_dir() else Path("runs") / loaded.name


def _run(recipe: Any, folder: Path | str, as_json: bool, **options: Any) -> None:
    if isinstance(folder, str):
        from plad.remote import folder_of

        folder, options["url"] = folder_of(folder), folder
    from plad.pipeline import run as run_pipeline
    from plad.progress import choose_display

    display = choose_display(as_json)
    finished = run_pipeline(recipe, folder, display, **options)
    _show(finished, as_json)


def _show(run: Any, as_json: bool) -> None:
    """The table, the report's path and what to type next, once there are results."""
    results, html = run.path("evaluation", "results.json"), run.path("report.html")
    if not results.is_file() or not html.is_file():
        return
    found = json.loads(results.read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps({"event": "results", "report": str(html), **found}))
        return
    from plad.progress.terminal import console
    from plad.report import terminal_table

    out = console()
    out.print(terminal_table(found, out.width))
    click.echo(f"report: {html}")
    click.echo(f"next:   plad show {quote(str(run.folder))} --example 1")
