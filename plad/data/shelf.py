"""Prompts on disk while they are divided, in an SQLite file that nobody keeps: none of their text stays in memory."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from plad.data.source import fold
from plad.records import Prompt, dump_line

_SETTINGS = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE prompts (
    number INTEGER PRIMARY KEY, text BLOB UNIQUE, part INTEGER, place REAL, chance REAL, id TEXT, record TEXT
);
BEGIN;
"""


class Shelf:
    """One prompt a text (white space folded): where it is put does not depend on the order in which prompts come."""

    def __init__(self, database: sqlite3.Connection):
        self._db, self.put = database, 0

    def add(self, prompt: Prompt, part: int, place: float, chance: float) -> None:
        """Put a prompt there, unless its text is there with a better one.

        Args:
            part, place: where it belongs: the number of its split, and its rank there.
            chance: among near-duplicates the lowest stays.
        """
        self.put += 1
        key = hashlib.sha256(fold(prompt.text).encode("utf-8", "surrogatepass")).digest()[:16]
        row = (key, part, place, chance, prompt.id, dump_line(prompt))
        fresh = self._db.execute("INSERT OR IGNORE INTO prompts VALUES (NULL, ?, ?, ?, ?, ?, ?)", row).rowcount
        if not fresh:
            [(number, record)] = self._db.execute("SELECT number, record FROM prompts WHERE text = ?", (key,))
            if _preference(prompt) < _preference(_prompt(record)):
                better = (prompt.id, dump_line(prompt), number)
                self._db.execute("UPDATE prompts SET id = ?, record = ? WHERE number = ?", better)

    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM prompts"))

    def texts(self) -> Iterator[str]:
        """The texts, in the order in which they came first."""
        rows = self._db.execute("SELECT record FROM prompts ORDER BY number")
        return (_prompt(record).text for (record,) in rows)

    def chances(self) -> Iterator[tuple[int, float]]:
        """Number and chance of each prompt, in the order of `texts`."""
        return iter(self._db.execute("SELECT number, chance FROM prompts ORDER BY number"))

    def remove(self, numbers: Iterable[int]) -> None:
        """Take prompts away."""
        self._db.executemany("DELETE FROM prompts WHERE number = ?", ((number,) for number in numbers))

    def repeated_id(self) -> str | None:
        """An id that several prompts have, if there is one."""
        found = self._db.execute("SELECT id FROM prompts GROUP BY id HAVING count(*) > 1 LIMIT 1").fetchone()
        return None if found is None else str(found[0])

    def count(self, part: int) -> int:
        """How many belong to a split."""
        return int(self._one("SELECT count(*) FROM prompts WHERE part = ?", part))

    def of(self, part: int, cap: int | None) -> Iterator[Prompt]:
        """Those of a split, the lowest ranks first, so many at most."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_place ON prompts (part, place, id)")
        query = "SELECT record FROM prompts WHERE part = ? ORDER BY place, id LIMIT ?"
        rows = self._db.execute(query, (part, -1 if cap is None else cap))
        return (_prompt(record) for (record,) in rows)

    def _one(self, query: str, *values: int) -> int:
        [[found]] = self._db.execute(query, values)
        return int(found)


@contextmanager
def shelf(folder: Path | None = None) -> Iterator[Shelf]:
    """An empty shelf, in a folder of its own inside `folder`, which goes with it."""
    with (
        TemporaryDirectory(dir=folder, prefix=".shelf-") as scratch,
        closing(sqlite3.connect(Path(scratch, "shelf.sqlite"), isolation_level=None)) as database,
    ):
        database.executescript(_SETTINGS)
        yield Shelf(database)


def _prompt(record: str) -> Prompt:
    return Prompt.from_json(json.loads(record))


def _preference(prompt: Prompt) -> tuple[bool, str, str, str]:
    """Sorts examples with a reference first."""
    return prompt.reference is None, prompt.reference or "", prompt.id, prompt.text
