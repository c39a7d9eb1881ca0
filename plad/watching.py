"""`plad watch RUN`: the report of a run while it goes on, served to this machine alone. It reads and never writes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from plad.errors import PladError
from plad.report.progress import Progress
from plad.report.read import read_run
from plad.status import Status, status

HOST = "127.0.0.1"
SHARE = 0.05
"""Of the time, at the most, that goes into making the page anew: the run needs the machine itself."""
FILES = (
    *("recipe.yaml", "manifest.json", "data/summary.json", "pairs.json", "pairs.jsonl", "rounds.json"),
    *("evaluation/*.json", "evaluation/*.jsonl", "models/*/*.jsonl", ".work/*/*.jsonl"),
)
"""What a page is made of."""


class Watch:
    """The page of a run, made anew when the run's files have changed, and no more often than SHARE allows.

    Raises:
        PladError: the folder holds no run.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic):
        self.folder, self._clock = folder, clock
        self._lock, self._next = threading.Lock(), float("-inf")
        self._mark, self._page = self._render()

    def mark(self) -> str:
        """What the page is made of now; another one when there is another page."""
        return self._latest()[0]

    def page(self) -> str:
        """The page that goes with the mark."""
        return self._latest()[1]

    def _latest(self) -> tuple[str, str]:
        # Where a file is put in another place meanwhile, the page before is good until the next look.
        with self._lock, suppress(PladError, OSError):
            if self._clock() >= self._next and _mark(self.folder, status(self.folder)) != self._mark:
                self._mark, self._page = self._render()
        return self._mark, self._page

    def _render(self) -> tuple[str, str]:
        # Charts need matplotlib, which takes most of a second to import.
        from plad.report.html import render_html

        began = self._clock()
        now = status(self.folder)
        mark, files = _mark(self.folder, now), read_run(self.folder)
        if "evaluate/results" not in files.manifest.get("tasks", {}):
            files = replace(files, results=None)  # those of an earlier recipe
        page = render_html(files, Progress(mark, now.state, now.tasks, now.doing, now.reason, now.wins))
        ended = self._clock()
        self._next = ended + (ended - began) / SHARE
        return mark, page


def server_of(watch: Watch, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page that only this machine reaches; port 0 is one that is free.

    Raises:
        PladError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), _handler(watch))
    except OSError as error:
        raise PladError(
            f"plad watch needs a port of its own, but {port} is not to be had ({error}). Leave out --port."
        ) from None
    server.daemon_threads = True
    return server


def _handler(watch: Watch) -> type[BaseHTTPRequestHandler]:
    pages = {"/": ("text/html; charset=utf-8", watch.page), "/mark": ("text/plain; charset=utf-8", watch.mark)}

    class Handler(BaseHTTPRequestHandler):
        """Two addresses, to be read."""

        server_version = "plad"

        def do_GET(self) -> None:
            # Another site's name that was made to point here must not read what the models say.
            if self.headers.get("Host", "").rsplit(":", 1)[0] not in (HOST, "localhost"):
                self.send_error(403)
            elif self.path in pages:
                kind, content = pages[self.path]
                self._send(kind, content().encode())
            else:
                self.send_error(404)

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Cross-Origin-Resource-Policy": "same-origin",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _mark(folder: Path, now: Status) -> str:
    """Of the files by their size and time of change, and of what the run is doing."""
    told = [now.state, now.doing or "", now.reason]
    for pattern in FILES:
        for path in sorted(folder.glob(pattern)):
            try:
                found = path.stat()
            except OSError:
                continue  # gone since it was seen
            told.append(f"{path.relative_to(folder)} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
