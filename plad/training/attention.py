"""Who sees whom in a row of several examples and branches, in the form that a model's attention takes.

Shape legend: N rows, L row length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def attention_mask(causal_lm: Any, example_NL: Tensor, branch_NL: Tensor, position_NL: Tensor) -> Any:
    """A query sees the earlier keys of its own example that are prompt or of its own branch, within a layer's window.

    A boolean (N, 1, L, L) mask for SDPA, an additive one for eager attention, a block mask for FlexAttention, which
    skips what nobody sees; by layer type where a model mixes windows.
    """
    config = causal_lm.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    form: Any = {"flex_attention": _blocks, "eager": _additive}.get(causal_lm.config._attn_implementation, _dense)

    def made(window: int | None) -> Any:
        return form(causal_lm, example_NL, branch_NL, position_NL, window)

    if kinds := getattr(config, "layer_types", None):
        return {kind: made(window if kind == "sliding_attention" else None) for kind in set(kinds)}
    return made(window)


def _dense(_: Any, example_NL: Tensor, branch_NL: Tensor, position_NL: Tensor, window: int | None) -> Tensor:
    """True where query i may see key j."""
    same_example = example_NL[:, :, None] == example_NL[:, None, :]
    visible = (branch_NL[:, None, :] == 0) | (branch_NL[:, None, :] == branch_NL[:, :, None])
    index = torch.arange(example_NL.shape[1], device=example_NL.device)
    mask = same_example & visible & (index[None, :] <= index[:, None])
    if window:
        mask = mask & (position_NL[:, :, None] - position_NL[:, None, :] < window)
    return mask[:, None]


def _additive(causal_lm: Any, *layout: Any) -> Tensor:
    mask, dtype = _dense(causal_lm, *layout), next(causal_lm.parameters()).dtype
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def _blocks(_: Any, example_NL: Tensor, branch_NL: Tensor, position_NL: Tensor, window: int | None) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def visible(n: Tensor, _: Tensor, i: Tensor, j: Tensor) -> Tensor:
        branch = (branch_NL[n, j] == 0) | (branch_NL[n, j] == branch_NL[n, i])
        seen = (example_NL[n, i] == example_NL[n, j]) & branch & (j <= i)
        return seen & (position_NL[n, i] - position_NL[n, j] < window) if window else seen

    N, L = example_NL.shape
    return create_block_mask(visible, N, None, L, L, device=example_NL.device)
