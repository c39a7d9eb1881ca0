"""The `openai` teacher against a stub that answers in 50 ms: requests a second beside the stub's own limit, and memory.

python benchmarks/openai_client.py [--requests 10000] [--concurrency 256]

The stub runs in a process of its own. Its limit is what a bare client gets out of it that sends one fixed request over
as many open connections and reads no more than it must; both are measured in turns, `--rounds` times each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import time
from multiprocessing.connection import Connection

from plad.generation import OpenAI, Sampling, Usage
from plad.models import PromptFormat
from plad.records import Prompt

DELAY = 0.05
BODY = json.dumps(
    {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "an answer"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
ASK = b'{"model": "m", "messages": [{"role": "user", "content": "question 1"}], "max_tokens": 64, "temperature": 0.7}'
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(ASK) + ASK


def stub(ready: Connection) -> None:
    """Answer every request after DELAY seconds, whatever it says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                await asyncio.sleep(DELAY)
                writer.write(REPLY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def bare(port: int, requests: int, concurrency: int) -> float:
    """Requests a second of a client that does nothing but send and read."""
    left = iter(range(requests))

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            writer.write(REQUEST)
            await reader.readexactly(len(REPLY))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return requests / (time.perf_counter() - started)


def ours(port: int, requests: int, concurrency: int) -> tuple[float, float, int]:
    """Of plad's client: requests a second, processor seconds a request, and by how many bytes the process grew in the
    last three quarters.
    """
    spec = OpenAI(
        model="m", base_url=f"http://127.0.0.1:{port}/v1", api_key_env=None, limits={"concurrency": concurrency}
    )
    prompts = [Prompt(str(n), f"question {n}") for n in range(requests)]
    started, worked, early = time.perf_counter(), time.process_time(), 0
    for done, _ in enumerate(spec.generator(PromptFormat(), Usage()).generate(prompts, Sampling(), seed=1), start=1):
        if done == requests // 4:
            early = _resident()
    rate, cost = requests / (time.perf_counter() - started), (time.process_time() - worked) / requests
    return rate, cost, _resident() - early


def _resident() -> int:
    statm = f"/proc/{os.getpid()}/statm"
    if os.path.exists(statm):
        with open(statm) as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=stub, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    ideal = chosen.concurrency / DELAY
    for _ in range(chosen.rounds):
        limit = asyncio.run(bare(port, chosen.requests, chosen.concurrency))
        rate, cost, growth = ours(port, chosen.requests, chosen.concurrency)
        print(
            f"{chosen.concurrency} at a time over {DELAY} s: {ideal:.0f}/s; bare client {limit:.0f}/s; "
            f"plad {rate:.0f}/s = {rate / limit:.0%} of it, "
            f"{1000 * cost:.2f} ms of processor time a request; grew by {growth / 2**20:.1f} MiB"
        )
    server.terminate()


if __name__ == "__main__":
    main()
