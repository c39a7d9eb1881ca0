"""`plad tune`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from plad.commands.options import dumped, for_machines, overriding, quiet
from plad.errors import PladError


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--budget", default="30m", show_default=True, metavar="TIME", help="Such as 90s, 30m or 1h30m.")
@click.option(
    "--trials", type=click.IntRange(min=1), help="Settings to try at most [default: as many as there is time]"
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder [default: runs/NAME-tune]")
@overriding
@for_machines
def tune(
    recipe: Path, budget: str, trials: int | None, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Look for better settings of RECIPE on the validation split: learning rate, β, λ, temperature.

    Answers and scores are made once, bad trials end early, and the better recipe is written with a plot of what
    mattered. Killed at any point, the same command goes on; a larger budget goes on from there.
    """
    quiet()
    from plad.config import load_recipe
    from plad.progress import choose_display
    from plad.studies import tune as tuning

    seconds = seconds_of(budget)
    loaded = load_recipe(recipe / "recipe.yaml" if recipe.is_dir() else recipe, overrides)
    folder = out or Path("runs") / f"{loaded.name}-tune"
    found = tuning(loaded, folder, seconds, choose_display(as_json), trials)
    text = (folder / "tune.md").read_text(encoding="utf-8")
    click.echo(dumped({"event": "tuned", "recipe": str(folder / "recipe.yaml"), **found}) if as_json else text)


def seconds_of(text: str) -> int:
    """`1h30m` in seconds.

    Raises:
        PladError: it is no such time.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    numbers = map(int, found.groups("0")) if found else (0, 0, 0)
    seconds = sum(number * unit for number, unit in zip(numbers, (3600, 60, 1), strict=True))
    if not seconds:
        raise PladError(f"--budget takes a time such as 90s, 30m or 1h30m, but this is {text!r}.")
    return seconds
