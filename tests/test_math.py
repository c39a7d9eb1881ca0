"""docs/math.md names what is there: every function, and every test."""

from __future__ import annotations

import re
from pathlib import Path

from plad.methods import METHODS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "math.md").read_text(encoding="utf-8")


def test_every_function_and_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)`(?: `(\w+)`)?", PAGE)
    assert len(named) > 50
    for file, name in named:
        folder = "tests" if Path(file).name.startswith("test_") else "plad"
        text = (ROOT / folder / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^\s*(def|class) {name}\b", text, re.M), f"{file} has no {name}"


def test_every_method_has_its_equation() -> None:
    labels = {method.label.removesuffix(", continued").removesuffix(", on-policy") for method in METHODS.values()}
    assert sorted(label for label in labels if label not in PAGE) == []
