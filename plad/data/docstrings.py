"""Docstrings: the code of a function and the summary line its author wrote, from the installed packages' sources.

Nothing is imported or fetched: packages are located by their spec and read with `ast`.
"""

from __future__ import annotations

import ast
import gc
import logging
import re
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from plad.data.source import Source, example, fold, nonempty, unprintable
from plad.errors import PladError
from plad.records import Prompt

_log = logging.getLogger(__name__)

# What plad's own dependencies bring, so that every installation has them.
PACKAGES = (
    "stdlib",
    "torch",
    "transformers",
    "sympy",
    "pandas",
    "scipy",
    "numpy",
    "networkx",
    "datasets",
    "peft",
    "accelerate",
    "huggingface_hub",
    "nltk",
    "pydantic",
    "rich",
    "fsspec",
)
_SKIPPED_FOLDERS = {
    "test",
    "tests",
    "idle_test",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "_vendor",
    "__pycache__",
}
_SKIPPED_FILES = re.compile(r"(test_.*|.*_test|conftest)\.py")
_ROLE = re.compile(r":(?:\w+:)*\w+:`~?([^`]*)`")  # :class:`Foo` of reStructuredText
_LINK = re.compile(r"\[`([^`]*)`\](?:\([^)]*\))?")  # [`Foo`] of Hugging Face's Markdown
_TYPE = re.compile(r"^`[^`]*`: *")  # a property's type: `int`: The size of …
_SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!vs)(?<!etc)[.!?](?=\s+[A-Z`\"'(])")
_NO_SUMMARY = re.compile(
    r">>>|:param|@param|\.\. |^(args|arguments|parameters|params|returns|raises|example|examples|note)\s*:"
    r"|deprecated|^(see|refer to|same as|todo|fixme|inherited|overridden|alias)\b"
    r"|^[\w.]+\(.*\)( *->.*)?$|^`?\w+`? \(.*?\) ?:|https?://",  # a signature, a parameter, an address
    re.IGNORECASE,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Docstrings(Source):
    """Code of a function without its docstring → the docstring's first sentence (3 to 30 words).

    A method stands under the line `class Name:`, which tells a model what `self` is. Blank lines are left out.
    Packages that aren't installed are skipped; `stdlib` names the standard library. What is harvested depends on
    the versions installed.
    """

    type: Literal["docstrings"] = "docstrings"
    packages: tuple[str, ...] = PACKAGES
    max_lines: PositiveInt = 12
    max_chars: PositiveInt = 400
    min_words: PositiveInt = 3
    max_words: PositiveInt = 30

    def prompts(self) -> Iterator[Prompt]:
        """Yield one example a documented short function, by package, path and line.

        Raises:
            PladError: none of the packages is installed, or none has a documented short function.
        """
        yield from nonempty(
            (prompt for root in self._roots() for file in _files(root) for prompt in self._harvest(file)),
            f"the packages {', '.join(self.packages)} hold no documented function of at most {self.max_lines} "
            f"lines and {self.max_chars} characters. Raise these limits or name other packages.",
        )

    def _roots(self) -> list[Path]:
        located = {package: locate(package) for package in self.packages}
        if missing := [package for package, root in located.items() if root is None]:
            _log.warning("docstrings: skipping %s: not installed as source", ", ".join(missing))
        roots = [root for root in located.values() if root is not None]
        if not roots:
            raise PladError(
                f"none of the packages {', '.join(self.packages) or '(empty list)'} is installed as Python source. "
                "Name installed packages, or `stdlib`."
            )
        return roots

    def _harvest(self, file: Path) -> Iterator[Prompt]:
        source, tree = _parse(file)
        lines = source.split("\n")
        for owner, function in _functions(tree):
            docstring = ast.get_docstring(function, clean=False)
            text = self._text(lines, owner, function) if docstring else None
            summary = self._summary(docstring) if docstring and text else None
            if summary and text and not unprintable(text + summary):
                yield example(text, summary)

    def _summary(self, docstring: str) -> str | None:
        summary = summarise(docstring)
        return summary if summary and self.min_words <= len(summary.split()) <= self.max_words else None

    def _text(self, lines: list[str], owner: str | None, function: Function) -> str | None:
        """The function's lines without its docstring, or None where it is too long or does nothing."""
        if _is_trivial(function) or (function.end_lineno or 0) - function.body[1].lineno >= self.max_lines:
            return None
        docstring, indent = function.body[0], function.col_offset
        first, last, end = docstring.lineno - 1, docstring.end_lineno or 0, function.end_lineno
        code = [_dedent(line, indent) for line in lines[function.lineno - 1 : first] + lines[last:end] if line.strip()]
        if owner:
            code = [f"class {owner}:", *(f"    {line}" for line in code)]
        text = "\n".join(code)
        return text if len(code) <= self.max_lines and len(text) <= self.max_chars else None


def locate(package: str) -> Path | None:
    """The folder of a top-level package's sources, or its only file, without importing it, or None."""
    if package == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    try:
        spec = find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def summarise(docstring: str) -> str | None:
    """The first sentence of the first paragraph on one line, without markup and closing stop, or None."""
    paragraph = fold(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0])
    plain = _TYPE.sub("", _LINK.sub(r"`\1`", _ROLE.sub(r"`\1`", paragraph)).replace("``", "`"))
    end = _SENTENCE_END.search(plain)
    summary = (plain[: end.start()] if end else plain).rstrip(" .:;,")
    return summary if _is_english(summary) and not _NO_SUMMARY.search(summary) else None


def _is_english(text: str) -> bool:
    letters = sum(character.isascii() and (character.isalpha() or character == " ") for character in text)
    return text[:1].isascii() and (text[:1].isalpha() or text[:1] == "`") and letters >= 0.75 * len(text)


def _is_trivial(function: Function) -> bool:
    """Nothing to summarise: no statement after the docstring, or only `pass`, `...` or `raise`."""
    rest = function.body[1:]
    if not rest or function.body[0].lineno == function.lineno or rest[0].lineno == function.body[0].end_lineno:
        return True
    constant = isinstance(rest[0], ast.Expr) and isinstance(rest[0].value, ast.Constant)
    return len(rest) == 1 and (constant or isinstance(rest[0], ast.Pass | ast.Raise))


def _functions(tree: ast.AST, owner: str | None = None) -> Iterator[tuple[str | None, Function]]:
    """Functions and methods by line, with their class; functions inside functions are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield owner, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, node.name)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _functions(node, owner)


def _dedent(line: str, indent: int) -> str:
    """Without the indentation of the function; the lines of a string may have less."""
    return line[indent:].rstrip() if line[:indent].isspace() or not indent else line.strip()


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    relative = (file.relative_to(root) for file in root.rglob("*.py"))
    kept = (f for f in relative if not _SKIPPED_FOLDERS & set(f.parts) and not _SKIPPED_FILES.fullmatch(f.name))
    return [root / file for file in sorted(kept)]


def _parse(file: Path) -> tuple[str, ast.AST]:
    """Text and tree of a file; both empty where this Python can't read it (templates, other versions)."""
    try:
        source = file.read_text(encoding="utf-8")  # universal newlines: lines as `ast` counts them
        with _no_gc(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            return source, ast.parse(source)
    except (OSError, ValueError, SyntaxError, RecursionError):
        return "", ast.Module(body=[], type_ignores=[])


@contextmanager
def _no_gc() -> Iterator[None]:
    """Building a tree makes no garbage, but scanning for it doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
