"""The page that a person reads."""

from __future__ import annotations

from typing import Any

from plad.stages.context import Context


def report(context: Context) -> dict[str, Any]:
    """report.html and report.md."""
    from plad.report import write_report

    html, markdown = write_report(context.run.folder)
    return {"html": str(html), "markdown": str(markdown)}
