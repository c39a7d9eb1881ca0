"""A real browser for the tests of pages: headless Chromium, which must be on this machine already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@contextmanager
def chromium() -> Iterator[Any]:
    """A running Chromium; skips the test where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Tab:
    """One page in a browser, and all that it complained of and asked for."""

    def __init__(self, browser: Any, width: int = 1280, height: int = 900, **context: Any) -> None:
        self.page = browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, page: Path, fragment: str = "") -> Any:
        """Open a file; returns the page."""
        self.page.goto(page.as_uri() + fragment)
        return self.page

    def count(self) -> str:
        """What the example browser says of how many it shows."""
        return str(self.page.locator("output[name=count]").inner_text())

    def shown(self) -> list[str]:
        """The ids of the examples in sight."""
        return [str(name).removeprefix("example-") for name in self.page.locator("article").evaluate_all(IDS)]


IDS = "boxes => boxes.map(box => box.id)"
