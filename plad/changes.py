"""What differs between two nested mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def changes(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old, new) of every value that differs; what one of them does not have is None there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from changes(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif old != new:
        yield at, old, new
