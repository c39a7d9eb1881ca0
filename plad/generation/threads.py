"""An asynchronous stream as a plain iterator, on a loop in a thread of its own: works in a notebook too."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
_END = object()


def iterate(stream: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """Yield what `stream()` yields, in its order. Leaving early cancels what is under way."""
    ready: queue.SimpleQueue[object] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()

    async def pump() -> None:
        async for item in stream():
            ready.put(item)

    task = loop.create_task(pump())

    def work() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(asyncio.wait([task]))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            ready.put(_END)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            yield item  # type: ignore[misc]
        task.result()
    finally:
        with suppress(RuntimeError):  # it is over, and its loop closed
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
