"""Who sees whom in a row of several examples and branches, in the form that a model's attention takes.

Shape legend: N rows, L row length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from plad.training.head import compute_dtype


def attention_mask(causal_lm: Any, example_NL: Tensor, branch_NL: Tensor, position_NL: Tensor) -> Any:
    """A query sees the earlier keys of its own example that are prompt or of its own branch, within a layer's window.

    A boolean (N, 1, L, L) mask for SDPA, an additive one for eager attention, a block mask for FlexAttention, which
    skips what nobody sees; by layer type where a model mixes windows.
    """
    config = causal_lm.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    form: Any = {"flex_attention": _blocks, "eager": _additive, QUICK: _additive}.get(
        causal_lm.config._attn_implementation, _dense
    )

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
    mask, dtype = _dense(causal_lm, *layout), compute_dtype(next(causal_lm.parameters()))
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def _blocks(_: Any, example_NL: Tensor, branch_NL: Tensor, position_NL: Tensor, window: int | None) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    def visible(n: Tensor, _: Tensor, i: Tensor, j: Tensor) -> Tensor:
        branch = (branch_NL[n, j] == 0) | (branch_NL[n, j] == branch_NL[n, i])
        seen = (example_NL[n, i] == example_NL[n, j]) & branch & (j <= i)
        return seen & (position_NL[n, i] - position_NL[n, j] < window) if window else seen

    N, L = example_NL.shape
    return create_block_mask(visible, N, None, L, L, device=example_NL.device)


QUICK = "plad_quick"
"""The name under which transformers finds `_attend`."""

AT_ONCE = 2**24
"""Attention weights of a layer that are held for the backward pass, 32 MB in bf16."""


@contextmanager
def quick_attention(model: Any) -> Iterator[None]:
    """Within, short rows attend by two matrix products and a softmax, for bf16 on a processor.

    SDPA's kernel takes two to four times as long there, most of it backwards. In fp32 it is as fast, and in long
    rows it saves memory.
    """
    config = model.config.get_text_config()
    if config._attn_implementation != "sdpa" or config.is_encoder_decoder:
        yield
        return
    AttentionInterface.register(QUICK, _attend)
    AttentionMaskInterface.register(QUICK, eager_mask)
    config._attn_implementation = QUICK
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"


def _attend(
    module: Any,
    query_NHLD: Tensor,
    key_NKMD: Tensor,
    value_NKMD: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """softmax(s · q kᵀ + mask) v. The H heads of queries that share one of the K of keys go through one product."""
    N, H, L, D = query_NHLD.shape
    K, M = key_NKMD.shape[1:3]
    if N * H * L * M > AT_ONCE or attention_mask is None:
        mask = None if attention_mask is None else attention_mask.to(query_NHLD.dtype)
        return sdpa_attention_forward(module, query_NHLD, key_NKMD, value_NKMD, mask, dropout, scaling, **more)
    scale = D**-0.5 if scaling is None else scaling
    query = (query_NHLD * scale).reshape(N, K, H // K * L, D)
    scores = (query @ key_NKMD.transpose(2, 3)).view(N, H, L, M)
    weights = (scores + attention_mask[..., :M].to(scores.dtype)).softmax(-1)
    weights = nn.functional.dropout(weights, dropout, module.training)
    attended = (weights.view(N, K, H // K * L, M) @ value_NKMD).view(N, H, L, D)
    return attended.transpose(1, 2).contiguous(), None
