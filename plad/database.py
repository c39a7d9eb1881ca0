"""How the stores of generations and of scores open their files."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def open_database(path: Path, schema: str, timeout: float = 120) -> sqlite3.Connection:
    """Open an SQLite file in WAL mode, made with `schema` where it is not there. Writes are committed one by one.

    Args:
        timeout: seconds to wait where another process writes.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or is not a database.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite waits for a busy file in every statement but the one that turns WAL on.
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=timeout):
        database = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        # A commit outlives the process at once, and the machine's power a moment later.
        database.execute("PRAGMA synchronous=NORMAL")
        database.executescript(schema)
    return database
