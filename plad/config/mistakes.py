"""What pydantic found wrong, as a user reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plad.config.places import Marks, follow, type_name, where
from plad.errors import nearest
from plad.spec import Spec


def explain(problem: Any, marks: Marks, path: Path) -> str:
    """One line a mistake: file, line, dotted key, what is wrong, and the nearest right name."""
    place, kinds = follow(problem["loc"])
    if place and place[-1].startswith("api_key"):
        problem = {**problem, "input": "…"}
    name = ".".join(place) or "the recipe"
    return f"{where(place, marks, path)}: {name}: {_what(problem, kinds)}"


def _what(problem: Any, kinds: Sequence[type[Spec]]) -> str:
    """What is wrong. `kinds` are the classes that can stand at the place of the problem."""
    kind, value, message = problem["type"], problem["input"], problem["msg"]
    types = [name for option in kinds if (name := type_name(option))]
    if kind == "extra_forbidden":
        # The class that refused the key stands one step above it.
        _, owners = follow(problem["loc"][:-1])
        names = list(owners[0].model_fields) if len(owners) == 1 else []
        return f"unknown key.{nearest(str(problem['loc'][-1]), names)} Known: {', '.join(names)}."
    if kind == "missing":
        return "is required, but is not there. Add it."
    if kind == "union_tag_invalid":
        given = str(value["type"])
        return f"unknown type {given!r}.{nearest(given, types)} Known: {', '.join(types)}."
    if kind == "union_tag_not_found":
        found = "has none" if isinstance(value, Mapping) else f"is {shown(value)}"
        return f"must be a mapping with a `type:`, but {found}. Known: {', '.join(types)}."
    if kind == "model_type":
        names = [field for option in kinds for field in option.model_fields]
        return f"must be a mapping of settings, but is {shown(value)}. Known: {', '.join(names)}."
    rule = re.sub(", (unable to|got a) .*", "", message.removeprefix("Value error, ").replace("Input should", "must"))
    rule = (rule[0].lower() + rule[1:]).replace("a valid tuple", "a list").replace("a valid string", "text")
    if kind == "value_error" and isinstance(value, Mapping):
        return f"{rule}."
    return f"{rule}, but is {shown(value)}." + (" Put it in quotes." if kind == "string_type" and value else "")


def shown(value: Any) -> str:
    """A value as YAML writes it."""
    return json.dumps(value, ensure_ascii=False, default=str)
