"""Any table as a task: name its prompt column, and its reference column where it has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from plad.data.rows import Row, read_hub, read_path
from plad.data.source import Source, nonempty, prompt_id, unprintable
from plad.errors import PladError, nearest
from plad.records import Prompt, PromptText
from plad.spec import Spec

ROLES = ("system", "user", "assistant")


class Columns(Spec):
    """The names of the columns. `reference` may be absent unless it is set; without `id` the text is hashed."""

    prompt: str = "prompt"
    reference: str | None = "reference"
    id: str | None = None


class Table(Source):
    """A JSON Lines, CSV or Parquet file, a folder or glob of them (`path`), or a hub data set (`hub`).

    The prompt column holds text or a list of `{"role", "content"}` messages. An empty reference counts as none.
    With `streaming` a hub's rows are read as they come, and no copy of the data set is kept.
    Duplicates pass: `split` counts and removes them. A row that breaks a rule is refused by line or row number.
    """

    type: Literal["table"] = "table"
    path: str | None = None
    hub: str | None = None
    name: str | None = None
    data_dir: str | None = None
    split: str = "train"
    revision: str | None = None
    streaming: bool = False
    columns: Columns = Columns()

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.hub is None):
            found = "neither" if self.path is None else "both"
            raise ValueError(f"a table needs either `path` or `hub`, but {found} is set")
        if self.streaming and self.path is not None:
            raise ValueError("`streaming` is how a `hub` data set is read, and a `path` always is; leave it out")
        return self

    def prompts(self) -> Iterator[Prompt]:
        """Yield one example a row, in the order of the rows.

        Raises:
            PladError: a row without a usable prompt, a missing column, or no rows at all.
        """
        problem = f"{self.path or self.hub} holds no example, but a task needs some. Check `path` or `split`."
        yield from nonempty((self._example(place, row) for place, row in self.rows()), problem)

    def rows(self) -> Iterator[Row]:
        """Yield each row with its place."""
        if self.path is not None:
            return read_path(self.path)
        assert self.hub is not None
        place = self.model_dump(include={"name", "data_dir", "split", "revision", "streaming"})
        return read_hub(self.hub, **place)

    def _example(self, place: str, row: Mapping[str, Any]) -> Prompt:
        columns = self.columns
        prompt = prompt_cell(place, columns.prompt, cell(place, row, columns.prompt))
        optional = "reference" not in columns.model_fields_set
        reference = None
        if columns.reference is not None and (columns.reference in row or not optional):
            reference = _reference(place, columns.reference, cell(place, row, columns.reference))
        identity = _id(place, columns.id, cell(place, row, columns.id)) if columns.id else prompt_id(prompt)
        return Prompt(identity, prompt, reference)


def cell(place: str, row: Mapping[str, Any], column: str) -> Any:
    """The value of `column`.

    Raises:
        PladError: the row has no such column; the message suggests the nearest.
    """
    if column not in row:
        names = [str(name) for name in row]
        raise PladError(
            f"{place}: no column {column!r}; there are {', '.join(names) or 'none'}."
            f"{nearest(column, names)} Set `columns` to the names of the table."
        )
    return row[column]


def text_cell(place: str, column: str, value: Any) -> str:
    """`value` as text that can be stored and tokenized, and isn't blank.

    Raises:
        PladError: it isn't a string, is blank, or holds NUL or half a surrogate pair.
    """
    if not isinstance(value, str):
        raise PladError(f"{place}: {column!r} must hold text, but holds {_shown(value)}. Convert or drop the row.")
    if bad := unprintable(value):
        raise PladError(f"{place}: {column!r} must be valid text, but holds {bad}. Remove that character.")
    if not value.strip():
        raise PladError(f"{place}: {column!r} must not be empty, but is {value!r}. Fill or drop the row.")
    return value


def prompt_cell(place: str, column: str, value: Any) -> PromptText:
    """`value` as a prompt: text, or a list of messages that ends with one to answer.

    Raises:
        PladError: it is neither.
    """
    if not isinstance(value, list):
        if not isinstance(value, str):
            raise PladError(
                f"{place}: {column!r} must hold text or a list of messages, but holds {_shown(value)}. "
                "Convert or drop the row."
            )
        return text_cell(place, column, value)
    messages = tuple(_message(place, f"{column}[{index}]", message) for index, message in enumerate(value))
    if not messages or messages[-1]["role"] == "assistant":
        problem = "is an empty list" if not messages else "ends with the assistant's"
        raise PladError(f"{place}: {column!r} must end with a message to answer, but {problem}. Mend or drop the row.")
    return messages


def _message(place: str, name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not {"role", "content"} <= value.keys():
        raise PladError(f"{place}: {name} must be a message with 'role' and 'content', but is {_shown(value)}.")
    if value["role"] not in ROLES:
        raise PladError(
            f"{place}: the role of {name} must be one of {', '.join(ROLES)}, but is {value['role']!r}."
            f"{nearest(str(value['role']), ROLES)}"
        )
    return {"role": value["role"], "content": text_cell(place, f"{name}.content", value["content"])}


def _reference(place: str, column: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return text_cell(place, column, value).strip()


def _id(place: str, column: str, value: Any) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return text_cell(place, column, str(value) if whole else value)


def _shown(value: Any) -> str:
    return "nothing (null)" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"
