"""What a generator is: prompts in, one finished or cut-off response each out, as they become ready."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from pydantic import Field

from plad.records import Generation, Prompt
from plad.spec import Spec


class Sampling(Spec):
    """How the next token is drawn. Temperature 0 is greedy decoding."""

    temperature: float = Field(0.7, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0 keeps all tokens")
    max_new_tokens: int = Field(64, ge=1)


class Generator(Protocol):
    """Anything that answers prompts."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Collection[str] = ()
    ) -> Iterator[Generation]:
        """Yield one generation a prompt, in any order, each as soon as it is ready.

        Args:
            done: ids answered before; they may be answered again. What the others get does not depend on it.
        """
