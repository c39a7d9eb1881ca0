"""`plad study`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from plad.commands.options import dumped, for_machines, overriding, quiet
from plad.errors import PladError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def study() -> None:
    """Several runs of one recipe, and one table of what came of them."""


@study.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--seeds", default="1,2,3", show_default=True, metavar="N,N,…", help="A run each.")
@click.option("--methods", default="", metavar="TYPE,TYPE,…", help="Compare with these beside the recipe's own.")
@click.option("--trials", default=0, show_default=True, help="Settings to try for each method on validation first.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder [default: runs/NAME-table1]")
@overriding
@for_machines
def table1(
    recipe: Path, seeds: str, methods: str, trials: int, out: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """The paper's Table 1: all methods of RECIPE by seeds. Killed at any point, the same command goes on from there."""
    quiet()
    from plad.config import load_recipe
    from plad.progress import choose_display
    from plad.studies import make_table1

    added = [f"baselines.{name.strip()}={{}}" for name in methods.split(",") if name.strip()]
    loaded = load_recipe(recipe, [*added, *overrides])
    folder = out or Path("runs") / f"{loaded.name}-table1"
    table = make_table1(loaded, folder, _numbers(seeds), choose_display(as_json), trials)
    click.echo(dumped({"event": "table", **table}) if as_json else (folder / "table1.md").read_text(encoding="utf-8"))


FIGURES = {
    "real-pairs": "Figure 2: PLaD by the share of pairs that a scorer orders.",
    "lengths": "Figure 3: every method by the length of its outputs.",
    "scaling": "Figure 4: every method by the share of the distillation data.",
    "families": "Table 2: students of several families under one teacher.",
    "judges": "Table 3: the same outputs under a reward model and a language model.",
    "case": "Figure 5: answers side by side, phrases of the source marked.",
    "ts-gap": "PLaD's gain by how far the teacher is ahead of the student.",
    "beyond": "Beyond the paper: rounds, several answers a prompt, the anchor.",
    "compute": "Every method at matched compute and teacher tokens.",
}


VALUES = {
    "real-pairs": "Shares",
    "scaling": "Shares",
    "ts-gap": "Factors of the student's fine-tuning",
    "compute": "Multiples of distill.max_flops",
}
"""What `--values` are of the studies that have some."""


def _figure_command(name: str, text: str) -> None:
    @study.command(name, help=f"{text} RECIPE is a YAML file.", short_help=text)
    @click.argument("recipe", type=click.Path(path_type=Path))
    @click.option("--seeds", default="1", show_default=True, metavar="N,N,…", help="A run of each arm by each.")
    @click.option("--out", type=click.Path(path_type=Path), help=f"Folder [default: runs/NAME-{name}]")
    @overriding
    @for_machines
    def command(
        recipe: Path, seeds: str, out: Path | None, overrides: tuple[str, ...], as_json: bool, **options: Any
    ) -> None:
        quiet()
        from plad.config import load_recipe
        from plad.progress import choose_display
        from plad.studies import FIGURES as STUDIES

        loaded = load_recipe(recipe, overrides)
        folder = out or Path("runs") / f"{loaded.name}-{name}"
        chosen = _study_options(**options)
        found = STUDIES[name](loaded, folder, _numbers(seeds), choose_display(as_json), **chosen)
        told = dumped({"event": "table", **found}) if as_json else (folder / f"{name}.md").read_text(encoding="utf-8")
        click.echo(told)

    if what := VALUES.get(name):
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
@overriding
@for_machines
def ablations(recipe: Path, seeds: str, out: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """The paper's ablations: ranking or margin, length-normalised or summed, pseudo pairs or those a scorer orders."""
    quiet()
    from plad.config import load_recipe
    from plad.progress import choose_display
    from plad.studies import make_ablations

    loaded = load_recipe(recipe, overrides)
    folder = out or Path("runs") / f"{loaded.name}-ablations"
    table = make_ablations(loaded, folder, _numbers(seeds), choose_display(as_json))
    text = (folder / "ablations.md").read_text(encoding="utf-8")
    click.echo(dumped({"event": "table", **table}) if as_json else text)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise PladError(f"--seeds takes whole numbers with commas between them, but this is {text!r}.") from None
