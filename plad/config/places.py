"""Places in a recipe: where each value was set, and which classes can stand there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from plad.config.recipe import Recipe
from plad.spec import Spec

Marks = dict[tuple[str, ...], str]
"""Where each key of a recipe was set: its line in the file, or the override."""


def where(place: Sequence[str], marks: Marks, path: Path) -> str:
    """Where the value at a place was set: by an override of it or of a part of it, or in the file, or round it."""
    depth = len(place)
    set_below = (mark for key, mark in marks.items() if mark.startswith("--set") and key[:depth] == tuple(place))
    round_it = (marks[key] for n in range(depth, 0, -1) if (key := tuple(place[:n])) in marks)
    return next(set_below, None) or next(round_it, str(path))


def follow(location: Sequence[Any]) -> tuple[list[str], list[type[Spec]]]:
    """The keys that pydantic's location stands for, and the classes that can stand there.

    Where there is a choice of classes the location names the variant, which is no key of the file.
    """
    place: list[str] = []
    kinds: list[type[Spec]] = [Recipe]
    named = False
    for step in location:
        if named:  # a key that the user made up
            place.append(str(step))
            named = False
            continue
        if len(kinds) > 1 and step in map(type_name, kinds):
            kinds = [kind for kind in kinds if type_name(kind) == step]
            continue
        place.append(str(step))
        if isinstance(step, int):
            continue  # one of a list, all of whose members can be the same
        field = kinds[0].model_fields.get(step) if len(kinds) == 1 else None
        kinds = _specs(field.annotation) if field else []
        named = field is not None and get_origin(field.annotation) is dict
    return place, kinds


def _specs(annotation: Any) -> list[type[Spec]]:
    """The classes of ours in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _specs(part)]


def type_name(kind: type[Spec]) -> str | None:
    """What `type:` says of a variant."""
    field = kind.model_fields.get("type")
    return str(field.default) if field else None
