"""A run folder in, `report.html` and `report.md` out."""

from __future__ import annotations

import os
from pathlib import Path

from plad.report.markdown import render_markdown
from plad.report.read import read_run


def write_report(run: Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.md` into the run folder and return their paths.

    A run that isn't finished gives a report of what is there. Equal run files give equal reports, byte for byte.

    Raises:
        PladError: the folder holds no recipe, or one of its files cannot be read.
    """
    # The charts need matplotlib, which takes most of a second to import; a table in a terminal shouldn't pay that.
    from plad.report.html import render_html

    run = Path(run)
    files = read_run(run)
    page, text = run / "report.html", run / "report.md"
    _replace(page, render_html(files))
    _replace(text, render_markdown(files))
    return page, text


def _replace(path: Path, text: str) -> None:
    # A browser that reloads meanwhile sees the old page or the new one, never half of one.
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8", newline="\n")
    os.replace(draft, path)
