"""One request to an OpenAI-compatible server, and what its faults mean.

Worth asking again: a server that is busy, down or unreachable, a body that is cut off or no answer, silence.
Not worth it: what the server calls wrong (the prompt is set aside), an unknown key or model (the run ends).
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from plad.errors import PladError
from plad.generation.base import Sampling
from plad.generation.pacing import retry_after
from plad.generation.replies import MalformedError, Reply, read_reply
from plad.generation.store import Usage

if TYPE_CHECKING:
    from plad.generation.openai import OpenAI

REDACTED = "[key]"
_POOL = 16  # connections
_OVERHEAD = 64  # tokens that a chat template may add round a prompt


@dataclass(frozen=True)
class Job:
    """The samples that are wanted of one prompt."""

    id: str
    rendered: str
    samples: list[int]


class TroubleError(Exception):
    """A request that brought nothing, and that may bring something later.

    `wait` is what the server asked for; `busy` that it has too much to do; `billed` that it may have charged.
    """

    def __init__(self, reason: str, wait: float | None = None, busy: bool = False, billed: bool = False):
        super().__init__(reason)
        self.wait, self.busy, self.billed = wait, busy, billed


class HopelessError(Exception):
    """The server calls the request wrong: asking again would bring the same."""


class Requests:
    """The official client for one server."""

    def __init__(self, spec: OpenAI):
        self.spec, self._secret = spec, secret_of(spec)
        # The time that its pool takes for a request grows with its connections: many small pools cost less.
        self._clients = [_client(spec, self._secret) for _ in range(-(-spec.limits.concurrency // _POOL))]
        self._turns = cycle(self._clients)

    async def send(self, rendered: str, count: int, sampling: Sampling, seed: int) -> Reply:
        """Ask for `count` answers.

        Raises:
            TroubleError: it may go better later.
            HopelessError: it won't.
            PladError: no request will.
        """
        import openai

        client = next(self._turns)
        create = client.chat.completions if self.spec.api == "chat" else client.completions
        body, limit = _body(self.spec, rendered, count, sampling, seed), self.spec.limits.timeout
        try:
            async with asyncio.timeout(limit):
                response = await create.with_raw_response.create(**body)
                return read_reply(response.content)
        except (TimeoutError, openai.APITimeoutError):
            raise TroubleError(f"no answer within {limit:g} s", billed=True) from None
        except openai.APIConnectionError as error:
            sent = type(error.__cause__).__name__ != "ConnectError"  # the client's HTTP library changes its name
            raise TroubleError(f"connection lost: {self._plain(error.__cause__ or error)}", billed=sent) from None
        except MalformedError as error:
            raise TroubleError(f"not an answer: {self._plain(error)}", billed=True) from None
        except openai.APIStatusError as error:
            raise self._sorted(error) from None

    async def probe(self) -> None:
        """Ask for the list of models, which is free. Servers that have none are let pass.

        Raises:
            PladError: nobody is there, or the key is refused.
        """
        import openai

        try:
            await self._clients[0].models.list()
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise self._refused(error) from None
        except openai.APIConnectionError as error:
            raise PladError(
                f"{self.spec.base_url} must be a server that can be reached, but: "
                f"{self._plain(error.__cause__ or error)}. Start it, or mend base_url or the environment's proxy."
            ) from None
        except openai.APIError:
            pass

    async def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients:
            await client.close()

    def clean(self, text: str) -> str:
        """A text without the key: some servers send back what they were sent."""
        return text.replace(self._secret, REDACTED) if self._secret else text

    def _sorted(self, error: Any) -> Exception:
        """What an HTTP status means for the prompt, or for the run."""
        status = error.status_code
        if status in (401, 403, 404) or error.code == "insufficient_quota":
            return self._refused(error)
        if status in (408, 409, 429) or status >= 500:
            wait = retry_after(error.response.headers.get("retry-after"))
            busy = status == 429 or (status == 503 and wait is not None)
            return TroubleError(self._plain(error), wait=wait, busy=busy)
        return HopelessError(self._plain(error))

    def _refused(self, error: Any) -> PladError:
        return PladError(
            f"{self.spec.base_url} must let us use {self.spec.model!r}, but answers {error.status_code}: "
            f"{self._plain(error)}. Mend the model's name, or the key in {self.spec.api_key_env or 'api_key_env'}."
        )

    def _plain(self, error: BaseException) -> str:
        """An error on one line, short, and without the key."""
        return self.clean(" ".join(str(error).split()) or type(error).__name__)[:300]


def most(rendered: str, count: int, sampling: Sampling) -> Usage:
    """What a request may come to at most: no tokenizer makes more tokens of a text than it has bytes."""
    return Usage(len(rendered.encode()) + _OVERHEAD, sampling.max_new_tokens * count, 1)


def usage_of(rendered: str, reply: Reply) -> Usage:
    """What the server counted; where it counts nothing, a token for every four characters."""
    written = sum(len(choice.text) for choice in reply.choices)
    return Usage(
        len(rendered) // 4 + 1 if reply.prompt_tokens is None else reply.prompt_tokens,
        written // 4 + 1 if reply.tokens is None else reply.tokens,
        1,
    )


def secret_of(spec: OpenAI) -> str | None:
    """The key, from the environment.

    Raises:
        PladError: the variable isn't set.
    """
    if spec.api_key_env is None:
        return None
    if key := os.environ.get(spec.api_key_env, "").strip():
        return key
    raise PladError(
        f"{spec.base_url} wants a key, but the environment variable {spec.api_key_env} is not set. "
        "Set it, or set api_key_env to null for a server that wants none."
    )


def _client(spec: OpenAI, secret: str | None) -> Any:
    """The official client. Retries are ours: they know the run's limits."""
    try:
        import openai
    except ImportError:
        raise PladError("a teacher of type openai needs the official client. Run: pip install 'plad[openai]'") from None
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)
    pool = limits(max_connections=None, max_keepalive_connections=spec.limits.concurrency)
    return openai.AsyncOpenAI(
        base_url=spec.base_url,
        api_key=secret or "none",
        max_retries=0,
        timeout=spec.limits.timeout,
        http_client=openai.DefaultAsyncHttpxClient(limits=pool),
    )


def _body(spec: OpenAI, rendered: str, count: int, sampling: Sampling, seed: int) -> dict[str, Any]:
    """The fields of a request. What is the server's default anyway is left out: not every server knows every field.

    They go as `extra_body`, over an empty prompt: the client would look at the type of each part of each message.
    """
    chat = spec.api == "chat"
    fields = {
        **({"messages": json.loads(rendered)} if chat else {"prompt": rendered}),
        spec.limit_as: sampling.max_new_tokens,
        "temperature": sampling.temperature,
        **({"top_p": sampling.top_p} if sampling.top_p < 1 else {}),
        **({"top_k": sampling.top_k} if sampling.top_k else {}),
        **({"n": count} if count > 1 else {}),
        **({"seed": seed} if spec.send_seed else {}),
        **spec.extra,
    }
    return {"model": spec.model, **({"messages": []} if chat else {"prompt": ""}), "extra_body": fields}
