"""The output head where it matters: log q(y) of the tokens asked for, without keeping a row of logits.

Shape legend: S positions, D model width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 2**25
"""Logits held at a time, 128 MB in fp32: a chunk is this many divided by V positions."""


def token_logps(head: nn.Module, hidden_SD: Tensor, target_S: Tensor, cap: float | None = None) -> Tensor:
    """log softmax(head(hidden)) at each target, in fp32, (S,).

    Memory grows with a chunk of positions, never with S × V. A frozen head (LoRA) is applied once and its gradient
    kept as (S, D); one that learns is applied again in the backward pass where there is more than one chunk.

    Args:
        cap: soft-capping of the logits, `cap · tanh(logits / cap)`, as Gemma 2 has it.
    """
    chunk = max(1, LOGITS_AT_ONCE // _vocabulary(head))
    pieces = list(zip(hidden_SD.split(chunk), target_S.split(chunk), strict=True))
    if _is_frozen_linear(head):
        assert isinstance(head, nn.Linear)
        return torch.cat([_FrozenHead.apply(h, head.weight, head.bias, t, cap) for h, t in pieces])

    def learnt(hidden: Tensor, target: Tensor) -> Tensor:
        return -nn.functional.cross_entropy(_capped(head(hidden).float(), cap), target, reduction="none")

    if len(pieces) == 1:
        return learnt(hidden_SD, target_S)
    # Recomputed in the backward pass, or the chunks' logits would all be held until then.
    return torch.cat([checkpoint(learnt, h, t, use_reentrant=False) for h, t in pieces])


class _FrozenHead(torch.autograd.Function):
    """∂ log q(y) / ∂h = W_y − Σ_v q(v) W_v, taken in the forward pass while the logits are there.

    Autograd would keep the logits for the backward pass, or compute them twice.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor, cap: float | None
    ) -> Tensor:
        dtype = _compute_dtype(hidden_SD)
        weight = weight_VD.to(dtype)
        bias = None if bias_V is None else bias_V.to(dtype)
        raw_SV = nn.functional.linear(hidden_SD.to(dtype), weight, bias).float()
        logps_SV = _capped(raw_SV, cap).log_softmax(-1)
        found_S = logps_SV.gather(-1, target_S[:, None]).squeeze(-1)
        if ctx.needs_input_grad[0]:
            slope_SV = logps_SV.exp_().neg_()
            slope_SV.scatter_add_(-1, target_S[:, None], torch.ones_like(found_S)[:, None])
            if cap:
                slope_SV *= 1 - torch.tanh(raw_SV / cap).square()
            ctx.save_for_backward(slope_SV.to(dtype) @ weight)
            ctx.dtype = hidden_SD.dtype
        return found_S

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slope_SD,) = ctx.saved_tensors
        return (grads[0][:, None] * slope_SD).to(ctx.dtype), None, None, None, None


def _is_frozen_linear(head: nn.Module) -> bool:
    """Whether the head is nothing but a matrix that does not learn; a LoRA layer is a Linear's wrapper."""
    return type(head) is nn.Linear and type(head.weight) is nn.Parameter and not head.weight.requires_grad


def _capped(logits_SV: Tensor, cap: float | None) -> Tensor:
    return cap * torch.tanh(logits_SV / cap) if cap else logits_SV


def _vocabulary(head: nn.Module) -> int:
    return int(getattr(head, "out_features", 0) or head.weight.shape[0])  # type: ignore[index]


def _compute_dtype(hidden_SD: Tensor) -> torch.dtype:
    """What a linear layer would compute in here: autocast's dtype, or the input's own."""
    device = hidden_SD.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_SD.dtype
