"""How long a browser takes to open a report: from the click to the end of the load event, scripts included.

python benchmarks/report_opening.py RUN/report.html --rounds 9

Needs the packages of `dev` and a Chromium on the machine.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

LOADED = """() => {
  const entry = performance.getEntriesByType('navigation')[0];
  return { ms: entry.loadEventEnd, examples: document.querySelector('output[name=count]').textContent };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    settings = parser.parse_args()
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        found = []
        for _ in range(settings.rounds):
            # A context of its own: nothing is cached from the round before.
            view = browser.new_context().new_page()
            view.goto(settings.page.resolve().as_uri())
            found.append(view.evaluate(LOADED))
        browser.close()
    times = sorted(one["ms"] for one in found)
    size = settings.page.stat().st_size / 1e6
    print(f"{size:.2f} MB, {found[0]['examples']}: median {median(times):.0f} ms, {times[0]:.0f} to {times[-1]:.0f} ms")


if __name__ == "__main__":
    main()
