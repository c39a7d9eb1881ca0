"""Reference pages made of the package itself when the site is built: the recipe, the commands, the Python names.

A hook of mkdocs: `on_files` adds the pages, so that none of them is kept in the repository, where it could go stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import plad
from plad.cli import main
from plad.config import Recipe
from plad.spec import Spec

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path", NoneType: "null"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    pages = {"recipe": recipe_page(), "commands": commands_page(), "python": python_page()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def recipe_page() -> str:
    """Every key of a recipe: what it may hold, its default, and what it means."""
    told = [
        "# The recipe\n",
        "Every key, as this version's own classes have it. A dotted key works on the command line too: "
        "`--set distill.loss.margin=0.5`. What has no default must be given. Where a key takes a choice of things, "
        "`type:` names the one.\n",
    ]
    return "\n".join([*told, *(_section(kind) for kind in _classes(Recipe))])


def commands_page() -> str:
    """What `--help` says, of every command."""
    return "\n".join(["# Commands\n", *_commands(main, "plad", None)])


def python_page() -> str:
    """The names that `plad` exports, each with its docstring."""
    names = sorted(plad._MODULES.items(), key=lambda item: (item[1], item[0]))
    told = ["# Python\n", "All of these are imported from `plad` itself: `from plad import PladTrainer`.\n"]
    return "\n".join([*told, *(f"::: {module}.{name}\n" for name, module in names)])


def _classes(kind: type[Spec], seen: set[type[Spec]] | None = None) -> Iterator[type[Spec]]:
    """A class of the recipe and those that its fields can hold, each once."""
    seen = set() if seen is None else seen
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    for field in kind.model_fields.values():
        for inner in _specs(field.annotation):
            yield from _classes(inner, seen)


def _specs(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _specs(part)]


def _section(kind: type[Spec]) -> str:
    rows = [_row(name, field) for name, field in kind.model_fields.items() if name != "type"]
    table = ["| key | holds | default | |", "|---|---|---|---|", *rows] if rows else ["It has no settings."]
    text = re.sub(r"\n +", "\n", kind.__doc__ or "").split("\n\nRaises:")[0].strip()
    return "\n".join([f"## {_title(kind)} {{ #{kind.__name__.lower()} }}\n", f"{text}\n", *table, ""])


def _title(kind: type[Spec]) -> str:
    tag = kind.model_fields.get("type")
    return kind.__name__ if tag is None else f"{kind.__name__}: `type: {tag.default}`"


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.is_required() else f"`{_written(field.get_default(call_default_factory=True))}`"
    holds = _holds(field.annotation) + _bounds(field.metadata)
    return f"| `{name}` | {holds} | {default} | {field.description or ''} |".replace("<", "&lt;")


def _bounds(rules: Iterable[Any]) -> str:
    """What limits a number."""
    return "".join(
        f" {sign} {bound}"
        for rule in rules
        for key, sign in BOUNDS.items()
        if (bound := getattr(rule, key, None)) is not None
    )


def _written(value: Any) -> str:
    """A default as YAML has it, in one line."""
    if value is PydanticUndefined or value is None:
        return "null"
    if isinstance(value, Spec):
        tag = getattr(value, "type", None)
        return f"{{type: {tag}}}" if tag else "{}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_written, value)) + "]"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\n", "\\n").replace("|", "\\|") or '""'


def _holds(annotation: Any) -> str:
    """What a key of this type may hold, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated and not _specs(annotation):
        return _holds(parts[0]) + _bounds(parts[1].metadata if isinstance(parts[1], FieldInfo) else parts[1:])
    if origin in (tuple, list):
        return f"a list of {_holds(parts[0])}"
    if origin is dict:
        return f"names to {_holds(parts[1])}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if specs := _specs(annotation):
        links = [f"[{_called(kind)}](#{kind.__name__.lower()})" for kind in dict.fromkeys(specs)]
        return ", ".join(links) + (" or null" if NoneType in parts else "")
    if parts:
        return " or ".join(dict.fromkeys(_holds(part) for part in parts))
    return WORDS.get(annotation, "anything")


def _called(kind: type[Spec]) -> str:
    tag = kind.model_fields.get("type")
    return kind.__name__ if tag is None else str(tag.default)


def _commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=96, **command.context_settings)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _commands(command.commands[inner], inner, context)
