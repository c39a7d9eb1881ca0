"""Whether a device computes in bf16, and so whether `auto` means it."""

from __future__ import annotations

from typing import Literal

MixedPrecision = Literal["fp32", "bf16", "auto"]
Bf16 = bool | Literal["auto"]


def computes_bf16(device: str) -> bool:
    """Whether the device has arithmetic of its own for bf16: `cuda`, `mps` or `cpu`.

    A processor without it still gives the right numbers, by torch's scalar loops: a product of matrices takes some
    fifty times as long as in fp32 (docs/log.md, 2026-11-30).
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    # The word by which torch itself chooses between oneDNN's kernels and its own loops.
    return kind != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def in_bf16(wanted: MixedPrecision | Bf16, device: str) -> bool:
    """Whether what a recipe says comes to bf16 on this device; `auto` does where the device computes in it."""
    return computes_bf16(device) if wanted == "auto" else wanted in (True, "bf16")
