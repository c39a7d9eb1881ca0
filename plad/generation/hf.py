"""Sampling with transformers' `generate`, in batches of prompts of like length."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from plad.generation.base import Sampling
from plad.models.prompts import Formatter
from plad.records import Generation, Prompt


class HFGenerator:
    """A model in this process.

    Args:
        model: in the dtype it should run in, LoRA merged.
        formatter: renders prompts and reads responses.
        batch_size: prompts at a time.
    """

    def __init__(self, model: Any, formatter: Formatter, batch_size: int = 64):
        self.model, self.formatter, self.batch_size = model.eval(), formatter, batch_size

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Collection[str] = ()
    ) -> Iterator[Generation]:
        """Longest prompts first; each batch has a seed of its own, from `seed` and the prompts in it.

        Only a batch that is wholly done is left out, so that the draws of the rest stay what they were.
        """
        ids = {p.id: self.formatter.prompt_ids(p.prompt) for p in prompts}
        order = sorted(prompts, key=lambda p: (-len(ids[p.id]), p.id))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            if not all(prompt.id in done for prompt in batch):
                yield from self._batch(batch, [ids[p.id] for p in batch], sampling, seed)

    def _batch(
        self, prompts: Sequence[Prompt], ids: list[list[int]], sampling: Sampling, seed: int
    ) -> Iterator[Generation]:
        import torch

        with torch.no_grad(), torch.random.fork_rng(), _no_defaults(self.model):
            torch.manual_seed(_batch_seed(seed, prompts))
            new_ids = self.model.generate(**self._padded(ids), **self._settings(sampling))
        first = 1 if self.model.config.is_encoder_decoder else max(map(len, ids))
        for prompt, row in zip(prompts, new_ids[:, first:].tolist(), strict=True):
            text, finished = self.formatter.decode(row)
            tokens = row.index(self.formatter.end_id) + 1 if finished else len(row)
            yield Generation(id=prompt.id, response=text, finished=finished, tokens=tokens)

    def _padded(self, ids: list[list[int]]) -> dict[str, Any]:
        """Left padding, so that every row's next token is its last column; an encoder's input pads on the right."""
        import torch

        width, device = max(map(len, ids)), self.model.device
        tokens = torch.full((len(ids), width), self.formatter.end_id, device=device)
        mask = torch.zeros_like(tokens)
        for n, row in enumerate(ids):
            columns = slice(0, len(row)) if self.model.config.is_encoder_decoder else slice(width - len(row), width)
            tokens[n, columns] = torch.as_tensor(row, device=device)
            mask[n, columns] = 1
        return {"input_ids": tokens, "attention_mask": mask}

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        from transformers import GenerationConfig

        drawn = sampling.temperature > 0
        settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        return {
            "generation_config": GenerationConfig(
                max_new_tokens=sampling.max_new_tokens,
                do_sample=drawn,
                eos_token_id=self.formatter.end_id,
                pad_token_id=self.formatter.end_id,
                decoder_start_token_id=getattr(self.model.config, "decoder_start_token_id", None),
                **(settings if drawn else {}),
            )
        }


@contextmanager
def _no_defaults(model: Any) -> Iterator[None]:
    """Without the model's generation_config.json, whose penalties would fill what our settings leave open."""
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _batch_seed(seed: int, prompts: Sequence[Prompt]) -> int:
    digest = hashlib.sha256(f"{seed}\n".encode() + "\n".join(p.id for p in prompts).encode())
    return int.from_bytes(digest.digest()[:7], "big")
