"""The nouns that every stage reads and writes. Frozen, JSON Lines both ways, standard library only.

A prompt is either plain text or a conversation, a tuple of `{"role": …, "content": …}` messages whose
last message is not the assistant's. A response is always plain text.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from plad.errors import PladError

Message = Mapping[str, str]
PromptText = str | tuple[Message, ...]


R = TypeVar("R", bound="Record")
T = TypeVar("T")
U = TypeVar("U")

READ_AT_ONCE = 256
"""Lines that are read together where a file is gone through from one end to the other."""


class Record:
    """A frozen dataclass that is one line of a JSON Lines file."""

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Build the record from a decoded line.

        Raises:
            PladError: the line is not an object, or a field is missing or unknown.
        """
        if not isinstance(row, Mapping):
            raise PladError(
                f"not a {cls.__name__}: a line must hold an object with its fields, but this one is {row!r}."
            )
        names = _names(cls)  # type: ignore[arg-type]  # a class is hashable
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        if unknown := sorted(values.keys() - names.keys()):
            raise PladError(f"{cls.__name__} has no field {unknown[0]!r}; its fields are {', '.join(sorted(names))}.")
        try:
            return cls(**values)
        except TypeError as error:
            raise PladError(f"not a {cls.__name__}: {error}") from None

    def to_json(self) -> dict[str, Any]:
        """The fields that hold something, in the order in which the class declares them."""
        names = _names(type(self))  # type: ignore[arg-type]  # as above
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Prompt(Record):
    """One input of a task, with the human's answer where there is one."""

    id: str
    prompt: PromptText
    reference: str | None = None

    @property
    def text(self) -> str:
        """The prompt as plain text, for scorers and for display."""
        return as_text(self.prompt)


@dataclass(frozen=True)
class Generation(Record):
    """One sampled response. `finished` tells whether the model ended it, as opposed to the token limit.

    `prompt_tokens` are what a server counted, once a request however many samples it gave. A `refusal` is what the
    model said in place of an answer; a `failure` is why there is none, and then the prompt was set aside.
    """

    id: str
    response: str
    finished: bool = True
    tokens: int = 0
    sample: int = 0
    prompt_tokens: int | None = None
    refusal: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class PreferencePair(Record):
    """Two responses to one prompt, `chosen` preferred over `rejected`, with scores where a scorer gave them.

    `weight`: what the pair counts for in a loss, where that is not 1.
    """

    id: str
    prompt: PromptText
    chosen: str
    rejected: str
    chosen_score: float | None = None
    rejected_score: float | None = None
    weight: float | None = None

    def swap(self) -> PreferencePair:
        """The same pair with the preference turned round."""
        return replace(
            self,
            chosen=self.rejected,
            rejected=self.chosen,
            chosen_score=self.rejected_score,
            rejected_score=self.chosen_score,
        )


@dataclass(frozen=True)
class Score(Record):
    """What a scorer makes of one answer and of the human's. `against_initial`: as in `EvalRow`."""

    id: str
    score: float
    reference_score: float
    against_initial: float | None = None


@dataclass(frozen=True)
class EvalRow(Record):
    """What one model answered to one test prompt, and what that answer is worth.

    `against_initial`: a pairwise judge's verdict on it and the initial student's answer (1, ½ or 0); else the scores
    of both decide.
    """

    id: str
    response: str
    score: float
    reference_score: float
    rouge1: float
    rouge2: float
    rougeL: float
    words: int
    finished: bool = True
    against_initial: float | None = None


@dataclass(frozen=True)
class ScoredSample(Record):
    """One of several samples of a model: its log-likelihood under that model, and what a scorer makes of it."""

    id: str
    sample: int
    response: str
    logp: float
    score: float


def as_text(prompt: PromptText) -> str:
    """A prompt as plain text; a conversation becomes one `role: content` paragraph a message."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in prompt)


def read_jsonl(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a file that `write_jsonl` wrote.

    Raises:
        PladError: a line is not JSON or not a `kind`; the message names the file and the line.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = kind.from_json(json.loads(line))
            except (json.JSONDecodeError, PladError) as error:
                raise PladError(f"{path}, line {number}: {error}") from None
            yield record


class Lines(Sequence[T], Generic[T]):
    """The lines of a file as a sequence that holds none of them: in memory is where each begins, 8 bytes.

    A slice is a view of the same file, which must stay as it is.

    Args:
        parse: makes an item of a line; its `PladError` and `ValueError` come with the file and the line.
    """

    def __init__(self, path: Path, parse: Callable[[str], T]):
        self.path, self.parse = path, parse
        self._starts, self._first = array("Q", [0]), 0
        with path.open("rb") as lines:
            for line in lines:
                self._starts.append(self._starts[-1] + len(line))
        self._end = len(self._starts) - 1

    def __len__(self) -> int:
        return self._end - self._first

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if not isinstance(index, slice):
            place = range(self._first, self._end)[index]
            return next(self._read(place, place + 1))
        places = range(self._first, self._end)[index]
        if places.step != 1:
            return [next(self._read(place, place + 1)) for place in places]
        part = copy(self)
        part._first, part._end = places.start, max(places.start, places.stop)
        return part

    def each(self, make: Callable[[T], U]) -> Lines[U]:
        """What is made of each item where it is read."""
        parse, view = self.parse, copy(self)
        view.parse = lambda line: make(parse(line))  # type: ignore[assignment, return-value]
        return view  # type: ignore[return-value]

    def __iter__(self) -> Iterator[T]:
        for start in range(self._first, self._end, READ_AT_ONCE):
            yield from self._read(start, min(start + READ_AT_ONCE, self._end))

    def _read(self, first: int, end: int) -> Iterator[T]:
        begin = self._starts[first]
        with self.path.open("rb", buffering=0) as file:
            file.seek(begin)
            held = file.read(self._starts[end] - begin)
        for number, (start, stop) in enumerate(pairwise(self._starts[first : end + 1]), start=first + 1):
            try:
                item = self.parse(held[start - begin : stop - begin].decode())
            except (PladError, ValueError) as error:
                raise PladError(f"{self.path}, line {number}: {error}") from None
            yield item


def read_records(path: Path, kind: type[R]) -> Lines[R]:
    """The records of a file that `write_jsonl` wrote, read where they are asked for.

    Raises:
        PladError: on reading, a line is not JSON or not a `kind`; the message names the file and the line.
    """
    return Lines(path, lambda line: kind.from_json(json.loads(line)))


def blocks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Neighbours, so many at a time; the last are what is left."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def together(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """As `blocks`, of what comes one by one."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def dump_line(record: Record) -> str:
    """One line of JSON, newline included."""
    return _JSON.encode(record.to_json()) + "\n"


def dump_lines(records: Iterable[Record]) -> str:
    """All of `records` as the text of a JSON Lines file."""
    return "".join(map(dump_line, records))


_JSON = json.JSONEncoder(ensure_ascii=False, default=list)


@cache
def _names(kind: type[Any]) -> dict[str, None]:
    """The fields of a record, in order."""
    return {field.name: None for field in fields(kind)}
