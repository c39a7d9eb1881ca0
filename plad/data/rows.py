"""Rows of a file, a folder, a glob or a hub data set, each with the place it came from, one after another.

Files are local or behind an URL that fsspec reads (`s3://bucket/data/*.parquet`). Formats: JSON Lines (`.jsonl`,
`.ndjson`, also `.gz`), CSV (`.csv`), tab-separated (`.tsv`), Parquet. A place reads `data.jsonl, line 7`; for Parquet
and the hub `row 7`, where the first row is 1.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.urls import Remote, is_url

Row = tuple[str, Mapping[str, Any]]


def read_path(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a file, of every table file under a folder, or of every match of a glob, by path.

    Raises:
        PladError: nothing is there, the format is unknown, or a line can't be read.
    """
    for file in _files(str(path)):
        yield from _READERS[_suffix(file)](file)


def read_hub(
    hub: str, *, name: str | None, data_dir: str | None, split: str, revision: str | None, streaming: bool = False
) -> Iterator[Row]:
    """Yield the rows of one split of a hub data set (or of a local folder in the hub's layout).

    Args:
        streaming: read rows as they come, the same in the same order, in place of a copy of all of them in the cache.

    Raises:
        PladError: the data set, the configuration, the split or the network isn't there, or a file of it is broken.
    """
    from datasets import load_dataset

    number = 0
    try:
        rows = load_dataset(hub, name, data_dir=data_dir, split=split, revision=revision, streaming=streaming)
        for number, row in enumerate(rows, start=1):
            yield f"{hub}, row {number}", row
    except Exception as error:  # each backend raises its own kind
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise PladError(
            f"data set {hub!r} (split {split!r}) couldn't be {f'read after row {number}' if number else 'loaded'}: "
            f"{what[0]} Check the name, the split and the network, or give a local copy."
        ) from error


def _files(path: str) -> Sequence[Path | Remote]:
    if is_url(path):
        found = Remote(path).files()
        return _checked(path, [f for f in found if "*" in path or f.url == path or _suffix(f) in _READERS])
    expanded = Path(path).expanduser()
    if expanded.is_file():
        candidates = [expanded]
    elif expanded.is_dir():
        candidates = sorted(file for file in expanded.rglob("*") if file.is_file() and _suffix(file) in _READERS)
    else:
        candidates = sorted(Path(hit) for hit in glob(str(expanded), recursive=True) if Path(hit).is_file())
    if not candidates:
        problem = "no file matches" if has_magic(path) else "no table in folder" if expanded.is_dir() else "no file"
        raise PladError(f"{problem} {path!r}. Give a {_KNOWN} file, a folder of such files, or a glob.")
    return _checked(path, candidates)


def _checked(path: str, candidates: Sequence[Path | Remote]) -> Sequence[Path | Remote]:
    if not candidates:
        raise PladError(f"no table at {path!r}. Give a {_KNOWN} file, a folder of such files, or a glob.")
    for file in candidates:
        if _suffix(file) not in _READERS:
            raise PladError(f"{file}: the format of a table is told by its ending, which must be one of {_KNOWN}.")
    return candidates


def _suffix(file: Path | Remote) -> str:
    endings = [ending.lower() for ending in file.suffixes]
    return "".join(endings[-2:]) if endings[-1:] == [".gz"] else "".join(endings[-1:])


def _lines(file: Path | Remote) -> Iterator[tuple[int, str]]:
    """Number and text of each line, without its ending and without a byte order mark."""
    number = 0
    try:
        with file.open("rb") as raw, gzip.open(raw) if _suffix(file).endswith(".gz") else nullcontext(raw) as lines:
            for number, line in enumerate(lines, start=1):  # bytes: split at \n only, never at U+2028
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise PladError(f"{file}, line {number}: not UTF-8 ({error.reason}). Save the file as UTF-8.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise PladError(f"{file} can't be read after line {number}: {error}") from None


def _jsonl(file: Path | Remote) -> Iterator[Row]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PladError(f"{place}: not JSON ({error}). Each line must be one JSON object.") from None
        if not isinstance(row, dict):
            raise PladError(f"{place}: each line must be a JSON object, but this is a {type(row).__name__}.")
        yield place, row


def _csv(file: Path | Remote, delimiter: str = ",") -> Iterator[Row]:
    """The standard library's reader, as opposed to pandas: it knows the line that is broken."""
    # Line by line, so that it is never in memory as a whole; a lone carriage return ends a line too.
    text = (piece for _, line in _lines(file) for piece in io.StringIO(f"{line}\n", newline=""))
    reader = csv.DictReader(text, delimiter=delimiter, strict=True)
    end = 1
    try:
        _check_header(file, reader.fieldnames or [])
        end = reader.line_num
        for row in reader:
            # A quoted field may span lines: a row starts on the line after the one before it ended.
            place, end = f"{file}, line {end + 1}", reader.line_num
            if None in row or None in row.values():
                raise PladError(
                    f"{place}: the header names {len(reader.fieldnames or [])} columns, but this row has "
                    f"{'more' if None in row else 'fewer'}. Quote fields that hold the delimiter {delimiter!r}."
                )
            yield place, row
    except csv.Error as error:
        raise PladError(f"{file}, after line {end}: not CSV ({error}). Mend the quotes, or use JSON Lines.") from None


def _check_header(file: Path | Remote, names: Any) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise PladError(f"{file}, line 1: column names must differ, but {twice[0]!r} stands there twice.")


def _tsv(file: Path | Remote) -> Iterator[Row]:
    return _csv(file, "\t")


def _parquet(file: Path | Remote) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with file.open("rb") as raw:
            for batch in pq.ParquetFile(raw).iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{file}, row {number}", row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise PladError(f"{file}: not a readable Parquet file after row {number} ({error}).") from None


_READERS: dict[str, Callable[[Any], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
_KNOWN = ", ".join(_READERS)
