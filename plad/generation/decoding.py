"""The decoding loop that transformers' `generate` runs for us: rows that ended leave the batch, each row draws alone.

What rows have in common is computed once: the beginning of all prompts, and a prompt that several rows continue.
Letters at the end of a name: P prompts, B rows still going, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Decoder:
    """One batch's loop, handed to `model.generate(custom_generate=…)`.

    Args:
        prompts: for each row, the place of its prompt among the inputs of `generate`.
        end_id: the token that ends a row.
        seeds: one a row; None decodes greedily. A row's draws depend on its own seed alone.
        head: how many tokens all prompts begin with, which stand before any padding.

    Attributes:
        new_ids: what each row came to, its end token included.
    """

    def __init__(self, prompts: Sequence[int], end_id: int, seeds: Sequence[int] | None, head: int = 0):
        self.prompts, self.end_id, self.head = list(prompts), end_id, head
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds or ()]
        self.new_ids: list[list[int]] = [[] for _ in prompts]

    @torch.inference_mode()
    def __call__(
        self, model: Any, input_ids: Tensor, logits_processor: Any, generation_config: Any, **kwargs: Any
    ) -> Tensor:
        """Called by `generate` with the encoder run, the cache made and the settings resolved."""
        for name in ("stopping_criteria", "synced_gpus", "streamer"):
            kwargs.pop(name, None)
        going = list(range(len(self.prompts)))
        logits, kwargs = self._read(model, input_ids, kwargs)
        index = torch.tensor(self.prompts, device=input_ids.device)
        input_ids, logits, kwargs = input_ids[index], logits[index], _select(kwargs, index, len(input_ids))
        for step in range(generation_config.max_new_tokens):
            if step:
                logits, kwargs = _forward(model, input_ids, kwargs, next_sequence_length=1)
            next_B = self._next(logits_processor(input_ids, logits.float()), going)
            input_ids = torch.cat([input_ids, next_B[:, None]], dim=1)
            for row, token in zip(going, next_B.tolist(), strict=True):
                self.new_ids[row].append(token)
            keep = [n for n, row in enumerate(going) if self.new_ids[row][-1] != self.end_id]
            if not keep:
                break
            if len(keep) < len(going):
                index = torch.tensor(keep, device=input_ids.device)
                input_ids, kwargs = input_ids[index], _select(kwargs, index, len(going))
                going = [going[n] for n in keep]
        return input_ids

    def _read(self, model: Any, input_ids_PT: Tensor, kwargs: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The prompts: what all begin with as one row, which the cache then holds for each."""
        if not self.head:
            return _forward(model, input_ids_PT, kwargs, is_first_iteration=True)
        prompts, tokens = input_ids_PT.shape
        first = {
            name: value[:1, : self.head] if isinstance(value, Tensor) and value.dim() == 2 else value
            for name, value in kwargs.items()
        }
        _forward(model, input_ids_PT[:1, : self.head], first, is_first_iteration=True)
        kwargs = _select(kwargs, torch.zeros(prompts, dtype=torch.long, device=input_ids_PT.device), 1)
        rest = tokens - self.head
        return _forward(model, input_ids_PT, kwargs, is_first_iteration=True, next_sequence_length=rest)

    def _next(self, scores_BV: Tensor, going: Sequence[int]) -> Tensor:
        """The likeliest token, or one drawn by inverting the cumulative distribution at the row's own number."""
        if not self.generators:
            return scores_BV.argmax(dim=-1)
        drawn = [torch.rand(1, generator=self.generators[row], dtype=torch.float64) for row in going]
        cumulative_BV = scores_BV.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
        point_B1 = torch.stack(drawn).to(cumulative_BV.device) * cumulative_BV[:, -1:]
        return torch.searchsorted(cumulative_BV, point_B1, right=True).squeeze(1).clamp(max=scores_BV.shape[1] - 1)


def _forward(model: Any, input_ids: Tensor, kwargs: dict[str, Any], **fed: Any) -> tuple[Tensor, dict[str, Any]]:
    """The logits of the last column, and what the next step is to be called with."""
    outputs = model(**model.prepare_inputs_for_generation(input_ids, **fed, **kwargs), return_dict=True)
    encoder_decoder = bool(model.config.is_encoder_decoder)
    return outputs.logits[:, -1], model._update_model_kwargs_for_generation(
        outputs, kwargs, is_encoder_decoder=encoder_decoder
    )


def _select(values: dict[str, Any], index: Tensor, rows: int) -> dict[str, Any]:
    """Keep some rows of everything that has one entry a row: masks, positions, the encoder's output, the cache."""

    def some(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[index] if value.dim() and value.shape[0] == rows else value
        if hasattr(value, "batch_select_indices"):
            value.batch_select_indices(index)
        elif hasattr(value, "last_hidden_state"):
            value.last_hidden_state = value.last_hidden_state[index]
        return value

    return {name: some(value) for name, value in values.items()}
