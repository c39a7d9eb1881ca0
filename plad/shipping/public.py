"""What of a recipe strangers may read: no path of this machine but its last name, and no address of a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ADDRESSES = ("base_url",)
PLACES = ("path", "file", "folder", "model")
"""Keys whose values are hub ids, or folders and files of this machine."""


def public(value: Any, key: str = "") -> Any:
    """A copy of a recipe's value, made fit for strangers."""
    if isinstance(value, Mapping):
        return {name: public(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [public(inner, key) for inner in value]
    if not isinstance(value, str):
        return value
    if key in ADDRESSES:
        return "…"
    here = local(value) if key in PLACES else Path(value).is_absolute() and len(value) < 1000 and Path(value).exists()
    return Path(value).name if here else value


def local(text: str) -> bool:
    """Whether a name is of a place on this machine, as opposed to one of the hub."""
    return text.startswith(("/", "./", "../", "~")) or text.count("/") > 1 or ("/" in text and Path(text).exists())
