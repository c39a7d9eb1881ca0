"""Debian: the long description of a package and its one-line synopsis, both by the package's maintainer."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import PositiveInt

from plad.data.source import Source, example, fold
from plad.errors import PladError
from plad.records import Prompt

_OPENERS: dict[str, Callable[..., IO[Any]]] = {".xz": lzma.open, ".bz2": bz2.open, ".gz": gzip.open, "": open}
_TIMEOUT_S = 600


class Debian(Source):
    """Description → synopsis, from a `Translation-en` index (`file`) or, without one, fetched once through apt.

    apt needs no root here: its lists go to a folder of our own, `cache` (by default in the user's cache directory),
    and are read from there afterwards. Delete that folder to fetch anew. Words are separated by white space.
    """

    type: Literal["debian"] = "debian"
    file: Path | None = None
    cache: Path | None = None
    min_words: PositiveInt = 20
    max_words: PositiveInt | None = None

    def prompts(self) -> Iterator[Prompt]:
        """Yield one example a distinct description, in the order of the index.

        Raises:
            PladError: no index and no apt, or an index without a usable description.
        """
        files = [self.file.expanduser()] if self.file else _fetched(self.cache or _default_cache())
        seen: set[str] = set()
        for synopsis, description in (pair for file in files for pair in _descriptions(file)):
            prompt = example(description, synopsis)
            if prompt.id not in seen and self._fits(description) and synopsis:
                seen.add(prompt.id)
                yield prompt
        if not seen:
            raise PladError(
                f"{files[0]} holds no `Description-en` of {self.min_words} words or more. "
                "Give a Translation-en index, or lower `min_words`."
            )

    def _fits(self, description: str) -> bool:
        words = len(description.split())
        return self.min_words <= words and (self.max_words is None or words <= self.max_words)


def _descriptions(file: Path) -> Iterator[tuple[str, str]]:
    """Yield synopsis and long description of each stanza."""
    body: list[str] | None = None
    for line in _lines(file):
        if body is not None and line.startswith((" ", "\t")):
            body.append(line[1:])
            continue
        if body is not None:
            yield fold(body[0]), _reflow(body[1:])
        body = [line.partition(":")[2]] if line.startswith("Description-en:") else None
    if body is not None:
        yield fold(body[0]), _reflow(body[1:])


def _reflow(lines: list[str]) -> str:
    """Paragraphs on a line each; indented lines stay as they are (Debian Policy, section 5.6.13)."""
    paragraphs = [""]
    for line in lines:
        if line.strip() in ("", "."):
            paragraphs.append("")
        elif line.startswith((" ", "\t")):
            paragraphs += [line.rstrip(), ""]
        else:
            paragraphs[-1] = f"{paragraphs[-1]} {line.strip()}".lstrip()
    return "\n".join(paragraph for paragraph in paragraphs if paragraph).strip()


def _lines(file: Path) -> Iterator[str]:
    opener = _OPENERS.get(file.suffix if file.suffix in (".xz", ".bz2", ".gz", ".lz4", ".zst") else "")
    if opener is None:
        raise PladError(f"{file}: an index must be plain, .xz, .bz2 or .gz, but ends in {file.suffix}. Decompress it.")
    try:
        with opener(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield line.rstrip("\n")
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise PladError(f"{file} must be a Debian Translation-en index, but can't be read: {error}") from None


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plad" / "debian"


def _fetched(cache: Path) -> list[Path]:
    """The indices in `cache`, fetched first where it has none."""
    lists = cache / "lists"
    if not lists.is_dir():
        _fetch(lists)
    return sorted(lists.glob("*Translation-en"))


def _fetch(lists: Path) -> None:
    """Fill a temporary folder and rename it, so that an interrupted download leaves nothing behind."""
    if shutil.which("apt-get") is None:
        raise PladError(
            "the debian task fetches its texts through apt, but there is no apt-get here. "
            "Set `file` to a Translation-en index of a Debian mirror."
        )
    lists.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lists.parent) as name:
        folder = Path(name) / "lists"
        (folder / "partial").mkdir(parents=True)
        output = _update(folder, Path(name))
        if not any(folder.glob("*Translation-en")):
            raise PladError(
                f"apt fetched no Translation-en index. It said: {output[-400:].strip() or 'nothing'} "
                "Check the network and apt's sources, or set `file`."
            )
        if not lists.is_dir():  # another process may have been faster
            folder.rename(lists)


def _update(folder: Path, cache: Path) -> str:
    options = {
        "Dir::State::Lists": str(folder),
        "Dir::Cache": str(cache),
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "false",  # plain files, whatever the system keeps
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled": "false",
        "APT::Sandbox::User": "root",  # apt's own user can't write to our folder
    }
    command = ["apt-get", *(part for key, value in options.items() for part in ("-o", f"{key}={value}")), "update"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {_TIMEOUT_S} s."
    return done.stderr
