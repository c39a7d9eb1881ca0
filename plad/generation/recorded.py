"""Outputs that somebody already has: the logs of an API, or a data set with a teacher's column."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import Field

from plad.data.rows import read_path
from plad.data.source import fold, storable
from plad.errors import PladError, nearest
from plad.generation.base import Done, Sampling
from plad.generation.replies import CUT_OFF
from plad.models.prompts import PromptFormat
from plad.records import Generation, Prompt, as_text
from plad.spec import Spec

_SETTINGS = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE answers (number INTEGER PRIMARY KEY, key BLOB, response TEXT, finished INTEGER);
"""


class RecordedColumns(Spec):
    """Where a row has what. A dot leads inwards: `response.body.choices.0.message.content`.

    Rows are found by `id` where that is set, else by the prompt's text or messages, white space folded.
    """

    prompt: str = "prompt"
    response: str = "response"
    id: str | None = None
    finish_reason: str | None = Field(None, description="`length` there marks an answer that was cut off")


class Recorded(Spec):
    """A teacher whose answers stand in a JSON Lines, CSV or Parquet file, a folder or a glob of them.

    Several rows of one prompt are its samples, in their order. A prompt without a row is set aside.
    """

    type: Literal["recorded"] = "recorded"
    path: str
    columns: RecordedColumns = RecordedColumns()

    def check(self) -> None:
        """Refuse a file that isn't there or doesn't have the columns, by its first row.

        Raises:
            PladError: with the rule, the value and the remedy.
        """
        next(self.answers(), None)

    def probe(self) -> None:
        """Read all of it, as the run will.

        Raises:
            PladError: a row is broken, or there is none.
        """
        if not sum(1 for _ in self.answers()):
            raise PladError(f"{self.path} must hold recorded answers, but has no row.")

    def generator(self, prompt_format: PromptFormat) -> RecordedGenerator:
        """The answers, read once. How prompts are formatted doesn't matter: these were asked already."""
        return RecordedGenerator(self)

    def key(self, prompt: Prompt) -> str:
        """What the rows of a prompt are found by."""
        return prompt.id if self.columns.id else fold(prompt.text)

    def answers(self) -> Iterator[tuple[str, Generation]]:
        """Each row: what its prompt is found by, and the answer.

        Raises:
            PladError: a row is broken.
        """
        columns = self.columns
        for place, row in read_path(self.path):
            asked = _inside(place, row, columns.id or columns.prompt)
            text = _inside(place, row, columns.response)
            if not isinstance(text, str | None):
                raise PladError(f"{place}: {columns.response!r} must hold text, but holds {text!r:.60}. Mend the row.")
            reason = _inside(place, row, columns.finish_reason) if columns.finish_reason else None
            key = str(asked) if columns.id else _text(place, columns.prompt, asked)
            yield key, Generation(id="", response=storable(text or "").strip(), finished=reason not in CUT_OFF)


class RecordedGenerator:
    """Looks answers up. They are read once, into an SQLite file of its own that goes with it."""

    identity: Mapping[str, Any] | None = None

    def __init__(self, spec: Recorded):
        self.spec, self._folder, self._met = spec, TemporaryDirectory(prefix="plad-recorded-"), False
        self._db = sqlite3.connect(Path(self._folder.name, "answers.sqlite"), isolation_level=None)
        self._db.executescript(_SETTINGS)
        rows = ((_digest(key), answer.response, answer.finished) for key, answer in spec.answers())
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO answers VALUES (NULL, ?, ?, ?)", rows)
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX by_key ON answers (key, number)")

    def rendered(self, prompt: Prompt) -> str:
        """What the answers are found by."""
        return self.spec.key(prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """The first `sampling.samples` answers of each prompt; the other settings have no say.

        Raises:
            PladError: none of the first prompts that it is asked has an answer.
        """
        found = {prompt.id: self._rows(self.spec.key(prompt), sampling.samples) for prompt in prompts}
        self._met = self._met or any(found.values())
        if not self._met:
            by = "id" if self.spec.columns.id else "text"
            raise PladError(
                f"recorded answers are found by the {by} of the prompt, but {self.spec.path} has none for any of "
                f"{len(found)} prompts. Set columns to where it holds the prompts that task.source gives."
            )
        for name, rows in found.items():
            for sample, (response, finished) in enumerate(rows):
                yield Generation(name, response, bool(finished), sample=sample)
            if not rows:
                yield Generation(name, "", finished=False, failure="no recorded answer")

    def _rows(self, key: str, samples: int) -> list[tuple[str, int]]:
        query = "SELECT response, finished FROM answers WHERE key = ? ORDER BY number LIMIT ?"
        return self._db.execute(query, (_digest(key), samples)).fetchall()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16]


def _inside(place: str, row: Any, dotted: str) -> Any:
    """The value at a dotted path; a column whose own name has dots comes first.

    Raises:
        PladError: there is none; the message suggests the nearest name.
    """
    if isinstance(row, Mapping) and dotted in row:
        return row[dotted]
    here = row
    for step in dotted.split("."):
        if isinstance(here, Mapping) and step in here:
            here = here[step]
        elif isinstance(here, Sequence) and not isinstance(here, str) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        else:
            names = [str(name) for name in here] if isinstance(here, Mapping) else []
            raise PladError(
                f"{place}: no {step!r} (of {dotted!r}); there are {', '.join(names) or 'none'}.{nearest(step, names)} "
                "Set teacher.model.columns to the names of the file."
            )
    return here


def _text(place: str, column: str, prompt: Any) -> str:
    """A prompt as it is compared: text, or a conversation as text."""
    if isinstance(prompt, str):
        return fold(prompt)
    try:
        return fold(as_text(prompt))
    except (KeyError, TypeError):
        raise PladError(f"{place}: {column!r} must hold text or a list of messages. Mend the row.") from None
