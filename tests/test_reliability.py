"""docs/reliability.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "---" not in line and "Held by" not in line]
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)` `(test_\w+)`", row)
        assert named, f"nothing holds: {row}"
        for file, name in named:
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.M), f"{file} has no {name}"
