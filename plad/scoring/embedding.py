"""Cosine of sentence embeddings, with the source or with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from plad.records import Prompt
from plad.scoring.base import Progress, check_aligned, is_empty, references
from plad.scoring.encoder import EncoderOptions, SentenceEncoder

EMPTY = -1.0


class Embedding(EncoderOptions):
    """Cosine of the response with the prompt (`source`) or with the human's answer (`reference`), in [-1, 1].

    An empty response scores -1. Beware of `source` as a judge: copying the source is nearly its optimum.
    """

    type: Literal["embedding"] = "embedding"
    against: Literal["source", "reference"] = "source"

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"cosine similarity with the {self.against}, sentence embeddings of {self.model}"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """The cosine of each response.

        Raises:
            PladError: the numbers differ, or references are wanted and missing.
        """
        check_aligned(prompts, responses)
        if self.against == "reference":
            targets = references(prompts, "the embedding scorer")
        else:
            targets = [prompt.text for prompt in prompts]
        cosines_N = (self._encoder.encode(targets) * self._encoder.encode(responses, progress)).sum(-1)
        return [EMPTY if is_empty(text) else cosine for text, cosine in zip(responses, cosines_N.tolist(), strict=True)]

    @cached_property
    def _encoder(self) -> SentenceEncoder:
        return self.encoder()
