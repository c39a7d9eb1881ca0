"""How fast a server may be asked. All by the monotonic clock: a clock that is set forwards or back changes nothing."""

from __future__ import annotations

import asyncio
import random
import time
from email.utils import parsedate_to_datetime

from pydantic import Field

from plad.spec import Spec

LONGEST_WAIT = 3600.0


class Limits(Spec):
    """How hard a server is pressed, and when to give up."""

    concurrency: int = Field(16, ge=1, description="requests under way at a time")
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0, description="of prompts and answers together")
    timeout: float = Field(120.0, gt=0, description="seconds for one request, whatever arrives meanwhile")
    retries: int = Field(6, ge=0, description="further attempts after a fault")
    shortest_wait: float = Field(0.5, gt=0, description="seconds before the first further attempt; they double")
    patience: float = Field(900.0, ge=0, description="seconds that one prompt waits at most while a server is busy")
    max_failed: int = Field(20, ge=0, description="prompts that may be set aside before the run stops")


class Pace:
    """So many units a minute, evenly: no burst at the start that a server would answer with an error."""

    def __init__(self, per_minute: float | None):
        self.seconds = 60 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def take(self, units: float = 1) -> None:
        """Wait until it is this request's turn."""
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + units * self.seconds
        if turn > now:
            await asyncio.sleep(turn - now)

    def correct(self, units: float) -> None:
        """Count `units` more (or, below 0, fewer) than was taken, now that the true number is known."""
        self._next += units * self.seconds


class Gate:
    """Shut for everybody while a server asks for patience."""

    def __init__(self) -> None:
        self._opens = 0.0

    def shut(self, seconds: float) -> None:
        """Let nobody pass for so long."""
        self._opens = max(self._opens, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until it is open. Those that waited do not start all at once."""
        while (wait := self._opens - time.monotonic()) > 0:
            await asyncio.sleep(wait + random.uniform(0, min(1.0, wait / 4)))


def backoff(attempt: int, shortest: float) -> float:
    """Seconds to wait before the next attempt, the first being 1: doubling to a minute, half of it by chance."""
    return min(60.0, shortest * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def retry_after(header: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, a number or a date; None without one, or with nonsense."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    # A date by a clock that is off may lie in the past or in the next century.
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None
