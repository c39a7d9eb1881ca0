"""The decoding loop that transformers' `generate` runs for us: rows that ended leave the batch, each row draws alone.

Letters at the end of a name: B rows still going, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Decoder:
    """One batch's loop, handed to `model.generate(custom_generate=…)`.

    Args:
        seeds: one a row; None decodes greedily. A row's draws depend on its own seed alone.
        end_id: the token that ends a row.

    Attributes:
        new_ids: what each row came to, its end token included.
    """

    def __init__(self, rows: int, end_id: int, seeds: Sequence[int] | None):
        self.end_id = end_id
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds or ()]
        self.new_ids: list[list[int]] = [[] for _ in range(rows)]

    @torch.inference_mode()
    def __call__(
        self, model: Any, input_ids: Tensor, logits_processor: Any, generation_config: Any, **kwargs: Any
    ) -> Tensor:
        """Called by `generate` with the encoder run, the cache made and the settings resolved."""
        for name in ("stopping_criteria", "synced_gpus", "streamer"):
            kwargs.pop(name, None)
        going = list(range(len(input_ids)))
        for step in range(generation_config.max_new_tokens):
            fed = {"next_sequence_length": 1} if step else {"is_first_iteration": True}
            inputs = model.prepare_inputs_for_generation(input_ids, **fed, **kwargs)
            outputs = model(**inputs, return_dict=True)
            scores_BV = logits_processor(input_ids, outputs.logits[:, -1].float())
            next_B = self._next(scores_BV, going)
            encoder_decoder = bool(model.config.is_encoder_decoder)
            kwargs = model._update_model_kwargs_for_generation(outputs, kwargs, is_encoder_decoder=encoder_decoder)
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

    def _next(self, scores_BV: Tensor, going: Sequence[int]) -> Tensor:
        """The likeliest token, or one drawn by inverting the cumulative distribution at the row's own number."""
        if not self.generators:
            return scores_BV.argmax(dim=-1)
        drawn = [torch.rand(1, generator=self.generators[row], dtype=torch.float64) for row in going]
        cumulative_BV = scores_BV.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
        point_B1 = torch.stack(drawn).to(cumulative_BV.device) * cumulative_BV[:, -1:]
        return torch.searchsorted(cumulative_BV, point_B1, right=True).squeeze(1).clamp(max=scores_BV.shape[1] - 1)


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
