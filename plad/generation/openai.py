"""A model behind any OpenAI-compatible endpoint, through the official client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from plad.errors import PladError
from plad.generation.account import Account, Price
from plad.generation.base import Done, Sampling
from plad.generation.endpoint import Endpoint
from plad.generation.pacing import Limits
from plad.generation.requests import Job, Requests, secret_of
from plad.generation.store import Usage
from plad.generation.threads import iterate
from plad.models.prompts import PromptFormat
from plad.records import Generation, Prompt
from plad.spec import Spec

_SECRET = re.compile("api[_-]?key|authori[sz]ation|password|secret|access_?token", re.IGNORECASE)


class OpenAI(Spec):
    """A teacher on a server: only its text is seen.

    The key comes from the environment variable that `api_key_env` names, and is written nowhere. Proxies too come from
    the environment (`HTTPS_PROXY`, `NO_PROXY`). `limits`, `price` and `budget` change no answer, so that they can be
    changed in the middle of a run.
    """

    type: Literal["openai"] = "openai"
    model: str
    base_url: str = "https://api.openai.com/v1"
    revision: str | None = Field(None, description="any word that tells this model from an earlier one of its name")
    api: Literal["chat", "completions"] = "chat"
    api_key_env: str | None = Field("OPENAI_API_KEY", description="null for a server that wants none")
    limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    send_seed: bool = True
    extra: dict[str, Any] = Field({}, description="further fields of the request's body")
    limits: Limits = Limits()
    price: Price = Price()
    budget: float | None = Field(None, gt=0, description="money for this run; it stops before it is exceeded")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as https://api.openai.com/v1")
        if "@" in parts.netloc or parts.query:
            raise ValueError("must hold no password and no query. A key comes from the environment (api_key_env)")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not (name.isidentifier() and name.isupper()):
            raise ValueError("must be the name of an environment variable in capitals, and never a key")
        return name

    @field_validator("extra")
    @classmethod
    def _holds_no_secret(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if name := next((name for name in _names(extra) if _SECRET.search(name)), None):
            raise ValueError(
                f"must hold no secret, for recipes are kept and shared, but has {name!r}. "
                "A key comes from the environment (api_key_env)"
            )
        return extra

    def check(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            PladError: there is a budget and no price.
        """
        if self.budget is not None and self.price == Price():
            raise PladError("a budget needs a price, but price.input and price.output are 0. Set them.")

    def probe(self) -> None:
        """Refuse a missing key, and a server that isn't there or doesn't let us in, in one request that is free.

        Raises:
            PladError: with the rule, the value and the remedy.
        """

        async def once() -> None:
            requests = Requests(self)
            try:
                await requests.probe()
            finally:
                await requests.close()

        asyncio.run(once())

    def generator(
        self, prompt_format: PromptFormat, spent: Usage, lost: Callable[[Usage], None] | None = None
    ) -> OpenAIGenerator:
        """The teacher, with an account on which `spent` was spent before.

        Args:
            lost: told of requests that may have been charged for although their answer never came.
        """
        secret_of(self)
        return OpenAIGenerator(self, prompt_format, spent, lost)


def _names(value: Any) -> Iterator[str]:
    """The keys of mappings within mappings and lists."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


class OpenAIGenerator:
    """Asks a server, many prompts at a time."""

    def __init__(
        self, spec: OpenAI, prompt_format: PromptFormat, spent: Usage, lost: Callable[[Usage], None] | None = None
    ):
        self.spec, self.format, self.spent, self.lost = spec, prompt_format, spent, lost

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model and all that goes into a request beside the prompt and the sampling."""
        fields = ("base_url", "model", "revision", "api", "extra")
        return {"backend": "openai", **self.spec.model_dump(include=set(fields))}

    def rendered(self, prompt: Prompt) -> str:
        """The messages as JSON, or the text of a completion."""
        return self.format.sent(prompt.prompt, chat=self.spec.api == "chat")

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """Answers in the order in which they arrive; a prompt that keeps failing is set aside with its reason.

        Raises:
            PladError: the server refuses the key or the model, too many prompts fail, or the budget is used up.
        """
        have = set(done)
        jobs = [
            Job(prompt.id, self.rendered(prompt), wanted)
            for prompt in prompts
            if (wanted := [n for n in range(sampling.samples) if (prompt.id, n) not in have])
        ]
        return iterate(lambda: self._ask(jobs, sampling, seed))

    def _ask(self, jobs: Sequence[Job], sampling: Sampling, seed: int) -> AsyncIterator[Generation]:
        account = Account(self.spec.price, self.spec.budget, self.spec.price.of(self.spent))
        return Endpoint(self.spec, account, self.lost).ask(jobs, sampling, seed)
