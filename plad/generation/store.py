"""Every generation that was ever paid for, in one SQLite file that any number of runs and processes share.

SQLite in WAL mode: a transaction is there whole or not at all after `kill -9`, readers never wait for the writer,
writers wait for each other, and it comes with Python. The file must be on a local disk: WAL needs shared memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plad.database import open_database
from plad.errors import PladError
from plad.records import Generation

_SCHEMA = """
CREATE TABLE IF NOT EXISTS models (id TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generations (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, answer TEXT NOT NULL, tokens INTEGER NOT NULL, created REAL NOT NULL,
    checksum TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_model ON generations (model, created);
CREATE TABLE IF NOT EXISTS paid (payer TEXT NOT NULL, prompt_tokens INTEGER, tokens INTEGER, lost INTEGER);
CREATE INDEX IF NOT EXISTS by_payer ON paid (payer);
"""
FILE = "generations.db"
_MANY = 500


@dataclass(frozen=True)
class Usage:
    """Tokens that somebody paid for. `requests` counts those that brought something, and those that may have."""

    prompt_tokens: int = 0
    tokens: int = 0
    requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.tokens + other.tokens, self.requests + other.requests
        )

    def __sub__(self, other: Usage) -> Usage:
        return self + Usage(-other.prompt_tokens, -other.tokens, -other.requests)


@dataclass(frozen=True)
class Entry:
    """What the store holds of one model; times are seconds since 1970."""

    id: str
    identity: Mapping[str, Any]
    generations: int
    tokens: int
    oldest: float
    newest: float


def default_folder() -> Path:
    """PLAD_CACHE, or ~/.cache/plad."""
    named = os.environ.get("PLAD_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "plad"


def model_id(identity: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of what an answer depends on beside prompt, sampling and seed."""
    return _digest(identity)[:16]


def generation_key(model: str, rendered: str, sampling: Mapping[str, Any], seed: int, sample: int) -> str:
    """The key of one generation: the hash of everything that determines it."""
    return _digest([model, rendered, sampling, seed, sample])


def shown(entry: Entry) -> str:
    """One line for a person: id, what the model is, how much, since when."""
    what = " ".join(f"{key}={value}" for key, value in entry.identity.items() if value not in (None, "", {}))
    days = [time.strftime("%Y-%m-%d", time.localtime(moment)) for moment in (entry.oldest, entry.newest)]
    since = days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"
    return f"  {entry.id}  {entry.generations:>8,} generations, {entry.tokens:>10,} tokens, {since}  {what}"


class Store:
    """The generations in `folder`; safe to use from several threads and processes at once.

    Args:
        journal: told of each answer and each lost request, for `take` of another machine's store.

    Raises:
        PladError: the folder cannot be written, or the file is damaged or no store.
    """

    def __init__(self, folder: Path | None = None, journal: Callable[[dict[str, Any]], None] | None = None):
        self.path, self._journal = (folder or default_folder()) / FILE, journal
        self._lock = threading.Lock()
        self._last: tuple[Mapping[str, Any], str, str] | None = None
        with self._told():
            self._db = open_database(self.path, _SCHEMA)

    @classmethod
    def where_kept(cls) -> Store | None:
        """The store in its usual place, None where nothing was ever kept: looking makes no file."""
        return cls() if (default_folder() / FILE).is_file() else None

    def get(self, keys: Iterable[str]) -> dict[str, Generation]:
        """The generations that are there, by key; what is damaged counts as not there."""
        found: dict[str, Generation] = {}
        wanted = list(keys)
        for start in range(0, len(wanted), _MANY):
            some = wanted[start : start + _MANY]
            marks = ",".join("?" * len(some))
            rows = self._read(f"SELECT key, answer, checksum FROM generations WHERE key IN ({marks})", some)
            found |= {key: _answer(text) for key, text, checksum in rows if checksum == _checksum(key, text)}
        return found

    def put(self, identity: Mapping[str, Any], key: str, generation: Generation, payer: str) -> None:
        """Keep a generation, and note who paid for it. It is safe from a crash once this returns."""
        model, described = self._named(identity)
        text = json.dumps(replace(generation, id="").to_json(), ensure_ascii=False, sort_keys=True)
        row = (key, model, text, generation.tokens, time.time(), _checksum(key, text))
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO models VALUES (?, ?)", (model, described))
            db.execute("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?)", row)
            if generation.prompt_tokens is not None:
                db.execute("INSERT INTO paid VALUES (?, ?, ?, 0)", (payer, generation.prompt_tokens, generation.tokens))
        if self._journal is not None:
            self._journal({"model": identity, "key": key, "answer": json.loads(text), "payer": payer})

    def lose(self, payer: str, usage: Usage) -> None:
        """Note a request that may have been charged for although its answer never came."""
        with self._transaction() as db:
            db.execute("INSERT INTO paid VALUES (?, ?, ?, 1)", (payer, usage.prompt_tokens, usage.tokens))
        if self._journal is not None:
            self._journal({"lost": [usage.prompt_tokens, usage.tokens], "payer": payer})

    def take(self, noted: Mapping[str, Any]) -> None:
        """Keep what the store of another machine told its `journal`."""
        if "lost" in noted:
            self.lose(noted["payer"], Usage(*noted["lost"]))
        else:
            answer = Generation.from_json({"id": "", **noted["answer"]})
            self.put(noted["model"], noted["key"], answer, noted["payer"])

    def spent(self, payer: str) -> Usage:
        """What a payer has paid for so far."""
        sums = ("prompt_tokens", "tokens", "prompt_tokens > 0")
        columns = ", ".join(f"coalesce(sum({name}), 0)" for name in sums)
        [row] = self._read(f"SELECT {columns} FROM paid WHERE payer = ?", [payer])
        return Usage(*row)

    def entries(self) -> list[Entry]:
        """One entry a model, the one used last first."""
        rows = self._read(
            "SELECT m.id, m.identity, count(*), sum(g.tokens), min(g.created), max(g.created) FROM generations g "
            "JOIN models m ON m.id = g.model GROUP BY m.id ORDER BY max(g.created) DESC, m.id",
        )
        return [Entry(name, json.loads(identity), *numbers) for name, identity, *numbers in rows]

    def damaged(self) -> list[str]:
        """The keys whose rows are not what was written.

        Raises:
            PladError: the file as a whole is damaged.
        """
        state = [line for (line,) in self._read("PRAGMA integrity_check")]
        if state != ["ok"]:
            raise PladError(f"{self.path} is damaged: {state[0]}. Move it away; what it held must be generated again.")
        rows = self._read("SELECT key, answer, checksum FROM generations ORDER BY key")
        return [key for key, text, checksum in rows if checksum != _checksum(key, text)]

    def prune(self, before: float | None = None, model: str | None = None, keys: Iterable[str] = ()) -> int:
        """Remove generations: those older than `before`, of one model, or of these keys. Returns how many."""
        named = list(keys)
        with self._transaction() as db:
            if before is None and model is None:
                done = sum(db.execute("DELETE FROM generations WHERE key = ?", (key,)).rowcount for key in named)
            else:
                limits = (before if before is not None else float("inf"), model, model)
                question = "DELETE FROM generations WHERE created < ? AND (? IS NULL OR model = ?)"
                done = db.execute(question, limits).rowcount
            db.execute("DELETE FROM models WHERE id NOT IN (SELECT DISTINCT model FROM generations)")
        with self._told(), self._lock:
            self._db.execute("VACUUM")
        return done

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _named(self, identity: Mapping[str, Any]) -> tuple[str, str]:
        """A model's id and its identity as text, worked out once for answers that follow one another."""
        last = self._last
        if last is None or last[0] is not identity:
            last = self._last = identity, model_id(identity), _canonical(identity)
        return last[1], last[2]

    def _read(self, question: str, values: Iterable[Any] = ()) -> list[Any]:
        with self._told(), self._lock:
            return self._db.execute(question, tuple(values)).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of an error which file it is of, and what to do."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise PladError(
                f"generations are kept in {self.path}, but it can't be used: {error}. "
                "Mend it or make room, or name another folder on a local disk in PLAD_CACHE."
            ) from error


def _answer(text: str) -> Generation:
    return Generation(**json.loads(text))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _digest(value: Any) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()[:16]
