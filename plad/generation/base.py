"""What a generator is: prompts in, one finished or cut-off response for each sample out, as they become ready."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import Field

from plad.records import Generation, Prompt
from plad.spec import Spec

Done = Collection[tuple[str, int]]
"""What was answered before: ids of prompts, each with the number of a sample."""


class Sampling(Spec):
    """How the next token is drawn. Temperature 0 is greedy decoding."""

    temperature: float = Field(0.7, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0 keeps all tokens")
    max_new_tokens: int = Field(64, ge=1)
    samples: int = Field(1, ge=1, description="answers a prompt; pairs.negatives says what pairs are made of")


class Generator(Protocol):
    """Anything that answers prompts."""

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """What, beside prompt, sampling and seed, an answer depends on. None: answers cost nothing and aren't kept."""

    def rendered(self, prompt: Prompt) -> str:
        """What the model is shown, to the last character or token. Equal texts get equal answers."""

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """Yield `sampling.samples` generations a prompt, in any order, each as soon as it is ready.

        Args:
            done: what was answered before; it may be answered again. What the rest gets does not depend on it.
        """


def draw_seed(seed: int, rendered: str, sample: int) -> int:
    """A seed for one sample of one prompt, from 0 to 2³¹ − 1: it does not depend on what else is asked."""
    digest = hashlib.sha256(f"{seed}\n{sample}\n{rendered}".encode())
    return int.from_bytes(digest.digest()[:4], "big") >> 1
