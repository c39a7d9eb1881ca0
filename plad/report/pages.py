"""What all pages share: templates in which whatever a run holds is text, one style, both themes, no network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from plad.report.citation import CITATION, PAPER
from plad.report.numbers import count


def render_page(template: str, scripts: Sequence[str] = (), mark: str = "", **about: Any) -> str:
    """One of this folder's templates.

    Args:
        scripts: this folder's scripts that the template has in it; no other may run.
        mark: of a page that is watched, which may ask the server that it came from whether there is another.
    """
    theme = asset("theme.js")
    shared = {
        # Our own files, as opposed to anything of the run's, may go in as they are.
        "style": Markup(asset("report.css")),
        "theme": Markup(theme),
        "script_hashes": [_hash(text) for text in (theme, *scripts)],
        "mark": mark,
        "citation": CITATION,
        "paper": PAPER,
    }
    return _environment().get_template(template).render(**shared, **about).strip() + "\n"


def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files("plad.report").joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(asset)
    )
    environment.filters["together"] = _together
    environment.filters["count"] = count
    environment.filters["contents"] = _contents
    return environment


def _contents(body: Markup) -> list[tuple[str, Markup]]:
    """The id and the short heading of each section. Only a template makes a tag: what a run holds is escaped."""
    found = re.findall(r'<section id="([\w-]+)"[^>]* data-short="([^"]*)"', str(body))
    return [(name, Markup(heading)) for name, heading in found]


def _together(text: str) -> str:
    # A line must not break between a number and its percent sign.
    return text.replace(" %", "\u00a0%")


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
