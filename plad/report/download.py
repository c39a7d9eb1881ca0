"""Files within the page: what a reader saves needs no network either."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Download:
    """A file as a `data:` address, and the name under which it is saved."""

    name: str
    href: str


def csv_file(name: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Download:
    """A table; `name` has no ending yet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return _file(f"{name}.csv", "text/csv", file.getvalue())


def json_file(name: str, value: Any) -> Download:
    """Any value; `name` has no ending yet."""
    return _file(f"{name}.json", "application/json", json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _file(name: str, kind: str, text: str) -> Download:
    return Download(name, f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}")
