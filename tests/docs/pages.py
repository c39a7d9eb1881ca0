"""What stands in the fenced blocks of README and docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that its title names, and what it holds."""

    page: Path
    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Line:
    """A shell command; `needs` is what the page says beside it that it cannot be run without."""

    page: Path
    command: str
    needs: str

    def __str__(self) -> str:
        return f"{self.page.name}: {self.command}"


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, of one language or of all."""
    found = [Block(page, *match.groups(default="")) for match in _FENCE.finditer(page.read_text(encoding="utf-8"))]
    return [block for block in found if language in (None, block.language)]


def lines(page: Path) -> list[Line]:
    """The commands of a page's `sh` blocks, in their order."""
    text = "\n".join(block.text.replace("\\\n", " ") for block in blocks(page, "sh"))
    return [_line(page, line) for line in text.splitlines() if line.strip()]


def _line(page: Path, text: str) -> Line:
    command, _, comment = text.partition(" #")
    needs = comment.strip()
    return Line(page, command.strip(), needs.removeprefix("needs ") if needs.startswith("needs ") else "")
