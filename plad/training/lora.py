"""LoRA's layers (arXiv 2106.09685) with nothing computed that their gradient does not need.

peft's forward casts the input to fp32, draws and applies a mask in it, casts back, and scales and adds over the whole
output; autograd repeats each of these backwards. Around a small matrix product that is most of the time. Here the
layer is one autograd function: the same numbers, in the dtype that the products are computed in.

Shape legend: N rows, I inputs, O outputs, R rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn

from plad.training.head import compute_dtype


@contextmanager
def quick_adapters(model: nn.Module) -> Iterator[None]:
    """Within, plain LoRA layers of `model` compute by one function. Every other kind stays as it is."""
    layers = [module for module in model.modules() if type(module) is Linear]
    for layer in layers:
        layer.__dict__["forward"] = _Forward(layer)
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


class _Forward:
    """A layer's forward; peft's own wherever a layer is more than plain LoRA over a matrix."""

    def __init__(self, layer: Linear):
        self.layer = layer

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        layer, base = self.layer, self.layer.base_layer
        name = _plain_adapter(layer)
        if args or kwargs or name is None:
            return Linear.forward(layer, x, *args, **kwargs)
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        dtype = compute_dtype(x)
        if dtype != down.dtype and not torch.is_autocast_enabled(x.device.type):
            return Linear.forward(layer, x)  # an adapter of a wider dtype, which computes in its own
        dropout = layer.lora_dropout[name]
        share = dropout.p if isinstance(dropout, nn.Dropout) and layer.training else 0.0
        out: Tensor = _LoraLinear.apply(x, base.weight, base.bias, down, up, layer.scaling[name], share, dtype)
        return out


def _plain_adapter(layer: Linear) -> str | None:
    """The one adapter at work, if the layer is a frozen matrix and it."""
    base = layer.base_layer
    if layer.disable_adapters or layer.merged or len(layer.active_adapters) != 1:
        return None
    name: str = layer.active_adapters[0]
    if name not in layer.lora_A or name in layer.lora_variant:
        return None
    biased = layer.lora_A[name].bias is not None or layer.lora_B[name].bias is not None
    frozen = type(base) is nn.Linear and not any(p.requires_grad for p in base.parameters())
    return name if frozen and not biased else None


class _LoraLinear(torch.autograd.Function):
    """x Wᵀ + b + s · drop(x) Aᵀ Bᵀ, with gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_OI: Tensor,
        bias_O: Tensor | None,
        down_RI: Tensor,
        up_OR: Tensor,
        scale: float,
        dropout: float,
        dtype: torch.dtype,
    ) -> Tensor:
        x_NI = x.reshape(-1, x.shape[-1]).to(dtype)
        weight, down, up = weight_OI.to(dtype), down_RI.to(dtype), up_OR.to(dtype)
        bias = None if bias_O is None else bias_O.to(dtype)
        out_NO = nn.functional.linear(x_NI, weight, bias)
        kept_NI, share = _kept(x_NI, dropout) if dropout else (None, 1.0)
        seen_NI = x_NI if kept_NI is None else _masked(x_NI, kept_NI)
        # The 1 / (1 − p) of dropout goes with the scale, so that nothing wide is multiplied.
        rank_NR = (seen_NI @ down.T).mul_(scale / share)
        out_NO.addmm_(rank_NR, up.T)
        ctx.save_for_backward(weight_OI, down_RI, up_OR, seen_NI, kept_NI, rank_NR)
        ctx.scale, ctx.x = scale / share, (x.shape, x.dtype)
        return out_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight_OI, down_RI, up_OR, seen_NI, kept_NI, rank_NR = ctx.saved_tensors
        dtype = seen_NI.dtype
        grad_NO = grads[0].reshape(-1, grads[0].shape[-1]).to(dtype)
        rank_grad_NR = (grad_NO @ up_OR.to(dtype)).mul_(ctx.scale)
        down_grad = (rank_grad_NR.T @ seen_NI).to(down_RI.dtype) if ctx.needs_input_grad[3] else None
        up_grad = (grad_NO.T @ rank_NR).to(up_OR.dtype) if ctx.needs_input_grad[4] else None
        x_grad = None
        if ctx.needs_input_grad[0]:
            shape, x_dtype = ctx.x
            adapted_NI = rank_grad_NR @ down_RI.to(dtype)
            if kept_NI is not None:
                adapted_NI = _masked(adapted_NI, kept_NI)
            x_grad = adapted_NI.addmm_(grad_NO, weight_OI.to(dtype)).view(shape).to(x_dtype)
        return x_grad, None, None, down_grad, up_grad, None, None, None


BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integers of a size in bytes: a mask of ones and zeros is applied to the bits of a number, which is exact."""


def _kept(like_NI: Tensor, dropout: float) -> tuple[Tensor, float]:
    """All bits where an element is kept, none where it is dropped; and the share kept, to 1 / 32,768 of that asked for.

    A processor draws a number of 64 bits as fast as one of 24. Four elements share it, and nothing is a boolean, whose
    conversions are slower than the products.
    """
    threshold = round(dropout * 2**15)
    words = torch.empty(-(-like_NI.numel() // 4), dtype=torch.int64, device=like_NI.device).random_(-(2**63), None)
    drawn = words.view(torch.int16)[: like_NI.numel()].view(like_NI.shape)
    # From −2¹⁴ to 2¹⁴ − 1: dropped below the threshold, where the difference is not negative.
    kept = drawn.bitwise_right_shift_(1).neg_().add_(threshold - 2**14 - 1).bitwise_right_shift_(15)
    return kept.to(BITS[like_NI.element_size()]), 1 - threshold / 2**15


def _masked(value: Tensor, kept: Tensor) -> Tensor:
    return (value.view(kept.dtype) & kept).view(value.dtype)
