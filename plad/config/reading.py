"""From a file and dotted overrides to a recipe. A mistake is refused with its line and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from plad.config.mistakes import explain
from plad.config.overrides import override
from plad.config.places import Marks, where
from plad.config.problems import problems
from plad.config.recipe import Recipe
from plad.errors import PladError, nearest
from plad.presets import beneath, preset


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        overrides: dotted settings such as `distill.loss.margin=0.5`; the value is YAML.

    Raises:
        PladError: the file is missing or not YAML, a key is unknown, a value is of the wrong type, or the whole makes
            no sense. The message has the line, the value and the nearest right name.
    """
    data, marks = _parse(read_recipe_text(path), path)
    for setting in overrides:
        override(data, setting, marks)
    return _validated(_preset(data, marks, path), marks, path)


def _preset(data: dict[str, Any], marks: Marks, path: Path) -> dict[str, Any]:
    """The recipe with the settings that its `preset:` stands for, where it has none of its own."""
    if "preset" not in data:
        return data
    try:
        settings = preset(data["preset"])
    except PladError as error:
        raise PladError(f"{where(['preset'], marks, path)}: preset: {error}") from None
    return beneath(settings, {key: value for key, value in data.items() if key != "preset"})


def _validated(data: Mapping[str, Any], marks: Marks, path: Path) -> Recipe:
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        told = [explain(problem, marks, path) for problem in error.errors()]
        raise PladError("\n".join(dict.fromkeys(told))) from None
    if found := list(problems(recipe)):
        told = [f"{where(place.split('.'), marks, path)}: {place}: {problem}" for place, problem in found]
        raise PladError("\n".join(told))
    return recipe


def changed(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe with some dotted settings changed.

    Raises:
        PladError: as `load_recipe`.
    """
    data: dict[str, Any] = recipe.model_dump(mode="json")
    marks: Marks = {}
    for setting in overrides:
        override(data, setting, marks)
    return _validated(data, marks, Path("the recipe"))


def parse_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted settings, `KEY=VALUE` with YAML for a value, as a mapping.

    Raises:
        PladError: one of them is not.
    """
    data: dict[str, Any] = {}
    for setting in overrides:
        override(data, setting, {})
    return data


def read_recipe_text(path: Path) -> str:
    """The text of a recipe file.

    Raises:
        PladError: there is none.
    """
    if not path.is_file():
        beside = [str(p) for folder in (path.parent, Path("recipes")) for p in sorted(folder.glob("*.yaml"))]
        raise PladError(f"there is no recipe {path}.{nearest(str(path), beside)} `plad init` writes one.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PladError(f"{path}, line {line}: a recipe is UTF-8 text, but this is not. Save it as UTF-8.") from None


def _parse(text: str, path: Path) -> tuple[dict[str, Any], Marks]:
    marks: Marks = {}
    try:
        data = yaml.safe_load(text)
        _mark(yaml.compose(text, Loader=yaml.SafeLoader), (), marks, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise PladError(f"{path}{line}: a recipe is YAML, but this is not: {problem}. Mend it there.") from None
    except RecursionError:
        raise PladError(f"{path}: a recipe is a tree, but an alias (*name) in it holds itself. Remove it.") from None
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds a {type(data).__name__}"
        raise PladError(f"{path}: a recipe is a mapping of sections, but this {found}. `plad init` writes one.")
    return data, marks


def _mark(node: Any, at: tuple[str, ...], marks: Marks, path: Path) -> None:
    """Note on which line each key stands; refuse one that stands twice, of which YAML would keep the last."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        place, here = (*at, str(key.value)), f"{path}, line {key.start_mark.line + 1}"
        if place in marks:
            first = marks[place].rpartition(" ")[2]
            raise PladError(f"{here}: {'.'.join(place)} stands twice, first on line {first}. Remove one of the two.")
        marks[place] = here
        _mark(value, place, marks, path)
