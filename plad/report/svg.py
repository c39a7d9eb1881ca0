"""Matplotlib's SVG made fit for a page: inline, recoloured by the page's style, readable to a screen reader."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib.style
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Colours are drawn as stand-ins and become CSS variables, so that one drawing serves light, dark and print.
COLORS = {
    "ink": "#a0b001",
    "muted": "#a0b002",
    "rule": "#a0b003",
    "teacher": "#a0b004",
    "student": "#a0b005",
    "sft": "#a0b006",
    "seqkd": "#a0b007",
    "plad": "#a0b008",
    "other": "#a0b009",
    "paper": "#a0b00a",
    "other-2": "#a0b00b",
    "other-3": "#a0b00c",
    "other-4": "#a0b00d",
    "other-5": "#a0b00e",
}

_STYLE = {
    "svg.fonttype": "none",
    # Without a salt, the ids in the drawing would differ from one run to the next.
    "svg.hashsalt": "plad",
    # A model's label may hold a dollar sign.
    "text.parse_math": False,
    "font.size": 10,
    "axes.edgecolor": COLORS["rule"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "grid.color": COLORS["rule"],
    "grid.linewidth": 0.7,
    "xtick.color": COLORS["rule"],
    "xtick.labelcolor": COLORS["muted"],
    "ytick.color": COLORS["rule"],
    "ytick.labelcolor": COLORS["muted"],
    "ytick.major.size": 0,
    "text.color": COLORS["ink"],
    "axes.labelcolor": COLORS["muted"],
    "lines.solid_capstyle": "round",
}


def color(name: str) -> str:
    """The stand-in for a colour."""
    return COLORS.get(name, COLORS["other"])


def variable(name: str) -> str:
    """The CSS variable of a colour, for legends."""
    return f"--{name if name in COLORS else 'other'}"


def in_percent(axis: Any) -> None:
    """Ticks as per cent, with decimals where whole numbers do not tell them apart."""
    axis.set_major_formatter(lambda value, _: f"{value:g} %")


def draw(name: str, alt: tuple[str, str], size: tuple[float, float], paint: Callable[[Any], None]) -> Markup:
    """An inline SVG of `paint(axes)`; `name` is unique on the page, `alt` the title and the description."""
    # Reset first: a matplotlibrc of the user's must not change the report.
    with matplotlib.style.context([_STYLE], after_reset=True):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(file.getvalue(), name, alt))


def _inline(text: str, name: str, alt: tuple[str, str]) -> str:
    body = text[text.index("<svg") :]
    # Matplotlib's style element holds for `*`, which would be the whole page.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.S)
    body = re.sub(r"font-family: [^;]*; ?", "", body)
    body = re.sub(r" transform=\"rotate\(-0 [^\"]*\"", "", body)
    for key, stand_in in COLORS.items():
        body = body.replace(stand_in, f"var(--{key})")
    return _own_ids(_opening(body, name, alt), name)


def _opening(body: str, name: str, alt: tuple[str, str]) -> str:
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None
    title, text = (escape(part) for part in alt)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{text}</desc>'
    )
    return head + body[body.index(">") + 1 :].strip()


def _own_ids(body: str, name: str) -> str:
    """Keep the ids that something points to, under the chart's name: several charts share a page."""
    used = set(re.findall(r"(?:url\(|href=\")#([^\")]+)", body))

    def replace(match: re.Match[str]) -> str:
        own = match[1]
        if own.startswith(f"{name}-"):
            return match[0]
        return f' id="{name}-{own}"' if own in used else ""

    body = re.sub(r' id="([^"]*)"', replace, body)
    return re.sub(r"(url\(|href=\")#", rf"\1#{name}-", body)
