"""Dotted settings, laid over what a recipe says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from plad.config.mistakes import shown
from plad.config.places import Marks, follow, type_name
from plad.errors import PladError


def override(data: dict[str, Any], setting: str, marks: Marks) -> None:
    """Set one dotted key."""
    dotted, equals, text = setting.partition("=")
    told = _without_keys(setting)
    *parents, last = path = dotted.split(".")
    if not equals or not all(path):
        raise PladError(f"--set takes KEY=VALUE, such as distill.loss.margin=0.5, but this is {told!r}.")
    here = data
    for depth, key in enumerate(parents, start=1):
        inner = {} if here.get(key) is None else here[key]
        if not isinstance(inner, dict):
            above = ".".join(path[:depth])
            raise PladError(f"--set {told}: {above} is {shown(inner)} in the recipe and has no keys of its own.")
        # A copy: under an alias (*name) the same mapping stands in several places, and one of them is meant.
        here[key] = dict(inner)
        here = here[key]
    try:
        here[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise PladError(f"--set {told}: the value is not YAML ({problem}). Put it in quotes.") from None
    if last == "type":
        _drop_others(here, parents)
    for place in [place for place in marks if place[: len(path)] == tuple(path)]:
        del marks[place]
    marks[tuple(path)] = f"--set {told}"


def _without_keys(text: str) -> str:
    """A setting as it may be shown: what stands behind `api_key` and its like is nobody's business."""
    secret = r"(?:api[_-]?key|authori[sz]ation|password|secret|access_?token)"
    return re.sub(rf"""(?i)({secret}\w*["']?\s*[:=]\s*["']?)(?:bearer\s+)?[^\s,}}"']+""", r"\1…", text)


def _drop_others(settings: dict[str, Any], place: Sequence[str]) -> None:
    """With a new type go the settings that only other variants have: a resolved recipe has all of them written out."""
    kinds = follow(place)[1]
    own = {name for kind in kinds if type_name(kind) == settings["type"] for name in kind.model_fields}
    others = {name for kind in kinds for name in kind.model_fields}
    for name in others - own if own else ():
        settings.pop(name, None)
