"""What scorers have said, in one SQLite file, so that nothing is scored or asked twice.

The file is in WAL mode: several processes may read while one writes, and a process that is killed leaves whole rows.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from plad.database import open_database
from plad.errors import PladError

_SCHEMA = "CREATE TABLE IF NOT EXISTS said (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"

AT_ONCE = 500
"""Keys in one query; SQLite's oldest limit is 999."""


def key(*parts: Any) -> str:
    """SHA-256 of JSON values: equal for equal parts, and for nothing else."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, default=list).encode("utf-8", "replace")).hexdigest()


class ScoreStore:
    """Key → JSON value. Closed by leaving a `with` block, which also folds the write-ahead log into the file.

    Args:
        beside: files of other runs, which are looked into for what this one lacks, and never written to. One that is
            not there, is in use, or is not to be read, has nothing.
    """

    def __init__(self, path: Path, beside: Sequence[Path] = ()):
        self.path, self.beside = path, beside
        with self._told():
            self._file = open_database(path, _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, keys: Sequence[str]) -> dict[str, Any]:
        """The values of those of `keys` that are there. What another file has is kept in this one too."""
        with self._told():
            found = _rows(self._file, keys)
        for path in self.beside:
            missing = [name for name in keys if name not in found]
            if missing and (taken := _taken(path, missing)):
                self.keep(taken)
                found |= taken
        return found

    def keep(self, values: Mapping[str, Any]) -> None:
        """Write `values`, all or none of them."""
        rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in values.items()]
        with self._told():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany("INSERT OR REPLACE INTO said VALUES (?, ?)", rows)
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn a damaged file into the user's error; a full disk and a lock keep their own."""
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise PladError(
                f"{self.path} should be a store of scores, but is damaged ({error}). Delete it; what it held is "
                "scored again."
            ) from None


def _rows(file: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))
        rows = file.execute(f"SELECT key, value FROM said WHERE key IN ({marks})", some)
        found.update((name, json.loads(value)) for name, value in rows)
    return found


def _taken(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What another run's file has of `keys`."""
    if not path.is_file() or path.with_name(f"{path.name}-wal").exists():
        return {}
    try:
        # Closed as it is, its log is folded in; opened in any other way it would get one anew.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as file:
            return _rows(file, keys)
    except sqlite3.Error:
        return {}
