"""Servers of the tests: a stub that answers by rule, a real model behind OpenAI's protocol, a proxy with faults."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TEXTS = ["the quick brown fox sees a dog", "a red box in room 3", "user assistant system"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked_of(body: dict[str, Any]) -> str:
    """The text of a request's prompt."""
    return body["messages"][-1]["content"] if "messages" in body else body["prompt"]


def completion(*texts: str | None, prompt_tokens: int = 10, tokens: int | None = None, **changes: Any) -> bytes:
    """The body of a chat completion with one choice a text."""
    choices = [
        {"index": n, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **changes}}
        for n, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 5 * len(texts) if tokens is None else tokens}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": choices, "usage": usage}).encode()


@dataclass
class Answer:
    """What is sent back. `send` bytes of the body at most, and then the connection ends in the way of `then`."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    chunked: bool = False
    send: int | None = None
    then: str = "keep"  # or close, reset, hang


Handler = Callable[[str, dict[str, Any], dict[str, str]], Awaitable[Answer]]


class Server:
    """An HTTP server on loopback in a thread of its own; counts what is under way at a time."""

    def __init__(self, handler: Handler):
        self.handler = handler
        self.under_way = self.most_under_way = 0
        self.seen: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @contextmanager
    def running(self) -> Iterator[Server]:
        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def start() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        def work() -> None:
            loop.run_until_complete(start())
            loop.run_forever()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        path = first.split()[1]
        if path.endswith("/completions"):
            self.seen.append(body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = await self.handler(path, body, headers)
            if answer.delay:
                await asyncio.sleep(answer.delay)
        finally:
            self.under_way -= 1
        return await _write(writer, answer)


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send an answer; whether the connection goes on."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    length = "transfer-encoding: chunked" if answer.chunked else f"content-length: {len(answer.body)}"
    writer.write(f"HTTP/1.1 {answer.status} X\r\ncontent-type: application/json\r\n{length}\r\n{extra}\r\n".encode())
    part = answer.body if answer.send is None else answer.body[: answer.send]
    writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n" if answer.chunked else part)
    if answer.chunked and answer.send is None:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    if answer.then == "hang":
        await asyncio.sleep(60)
    if answer.then == "reset":
        await asyncio.sleep(0.02)  # what was written is on its way
        writer.transport.abort()
    return answer.then == "keep"


def stub(rule: Callable[[dict[str, Any]], Answer]) -> Server:
    """A server that answers each completion by a rule and knows no list of models."""

    async def handle(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        return rule(body) if path.endswith("/completions") else Answer(b"{}", 404)

    return Server(handle)


def save_tiny_model(folder: Path, width: int = 32) -> Path:
    """A model of some thousand parameters with a chat template, weights large enough for answers that differ."""
    import torch

    from plad.models import ScratchModel

    spec = ScratchModel(vocabulary=320, width=width, layers=2, heads=2)
    tokenizer = spec.tokenizer(TEXTS)
    tokenizer.chat_template = TEMPLATE
    model = spec.model(tokenizer, seed=1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(6)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def model_server(folder: Path, log: Path) -> Iterator[str]:
    """`transformers serve` with one model, ready; yields its address."""
    port = free_port()
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(folder)]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32"]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    try:
        ready(process, port, log, seconds=120)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def ready(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    """Wait until a server is well; fail with its log where it has ended or takes too long."""
    deadline = time.monotonic() + seconds
    while not _healthy(port):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class FaultyProxy(Server):
    """Stands between the client and a real server. `fault` names what goes wrong with a request, None for nothing.

    `delivered` has the prompt of every answer that was sent whole: what a client paid for and received.
    """

    def __init__(self, upstream: str, fault: Callable[[dict[str, Any]], str | None]):
        super().__init__(self._handle)
        self.upstream, self.fault = upstream.removesuffix("/v1"), fault
        self.delivered: list[str] = []

    async def _handle(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        kind = self.fault(body) if path.endswith("/completions") else None
        if kind in EARLY:
            return EARLY[kind](headers)
        answer = await asyncio.to_thread(self._forward, path, body)
        if kind is None:
            if answer.status == 200 and path.endswith("/completions"):
                self.delivered.append(asked_of(body))
            return answer
        return LATE[kind](answer)

    def _forward(self, path: str, body: dict[str, Any]) -> Answer:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.upstream + path, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.read(), answer.status)
        except urllib.error.HTTPError as error:
            return Answer(error.read(), error.code)


def _problem(status: int, **headers: str) -> Callable[[dict[str, str]], Answer]:
    """An error whose text sends back the key that came with the request, as careless servers do."""

    def make(asked: dict[str, str]) -> Answer:
        message = f"trouble with {asked.get('authorization', 'nobody')}"
        return Answer(json.dumps({"error": {"message": message}}).encode(), status, headers)

    return make


def _changed(**changes: Any) -> Callable[[Answer], Answer]:
    """A real answer with some fields of its choice replaced."""

    def make(answer: Answer) -> Answer:
        found = json.loads(answer.body)
        choice = found["choices"][0]
        for name, value in changes.items():
            (choice if name in choice else choice["message"])[name] = value
        return Answer(json.dumps(found).encode())

    return make


def _twice(answer: Answer) -> Answer:
    found = json.loads(answer.body)
    found["choices"] = [found["choices"][0], {**found["choices"][0], "index": 1}]
    return Answer(json.dumps(found).encode())


def _none(answer: Answer) -> Answer:
    return Answer(json.dumps({**json.loads(answer.body), "choices": []}).encode())


EARLY: dict[str | None, Callable[[dict[str, str]], Answer]] = {
    "429": _problem(429),
    "429 with Retry-After": _problem(429, **{"retry-after": "0.2"}),
    "429 until a date in the past": _problem(429, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "500": _problem(500),
    "503": _problem(503),
    "503 with Retry-After": _problem(503, **{"retry-after": "0.2"}),
    "400": _problem(400),
    "hang": lambda _: Answer(b"{}", send=0, then="hang"),
    "malformed JSON": lambda _: Answer(b'{"choices": [{"index": 0, "mess'),
    "HTML": lambda _: Answer(b"<html>It works!</html>"),
}
"""Faults before the real server is asked."""

LATE: dict[str, Callable[[Answer], Answer]] = {
    "reset in mid-body": lambda answer: Answer(answer.body, send=len(answer.body) // 2, then="reset"),
    "stream that ends early": lambda answer: Answer(answer.body, chunked=True, send=40, then="close"),
    "stream that stops": lambda answer: Answer(answer.body, chunked=True, send=40, then="hang"),
    "null finish_reason": _changed(finish_reason=None),
    "no choices": _none,
    "empty content": _changed(content=""),
    "null content": _changed(content=None),
    "refusal": _changed(content=None, refusal="I can't help with that."),
    "length": _changed(finish_reason="length"),
    "too many choices": _twice,
}
"""Faults of what the real server said."""
