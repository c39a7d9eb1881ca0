"""Frozen weights held in 4 or 8 bit by bitsandbytes: QLoRA's base (arXiv 2305.14314), and a teacher with less memory.

A model is quantised in memory, a layer at a time, so that one whose adapters were merged can be too. Files keep the
precision that they have: an adapter trained on quantised weights is merged into the whole ones, as QLoRA's authors do.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from plad.errors import PladError

if TYPE_CHECKING:
    import torch
    from torch import nn

Bits = Literal["4bit", "8bit"]

BYTES = {"4bit": 0.55, "8bit": 1.05}
"""Of a weight with its share of the scales."""


def check_installed() -> None:
    """Refuse what cannot be done here, before any work.

    Raises:
        PladError: bitsandbytes isn't installed.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise PladError("weights in 4 or 8 bit need bitsandbytes. Run: pip install 'plad[qlora]'")


def quantised(model: Any, bits: Bits, device: str) -> Any:
    """`model` with the matrices of its layers in 4 bit (NF4, its scales in 8 bit) or 8 bit, on `device`.

    It is changed in place. Embeddings, norms, the output head, and what an architecture keeps in fp32 stay as they are.
    Nothing of it learns.

    Raises:
        PladError: bitsandbytes isn't installed.
    """
    check_installed()
    model.requires_grad_(False)
    for name, layer in [(name, part) for name, part in model.named_modules() if _is_converted(model, name, part)]:
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, _converted(layer, bits, model.dtype).to(device))
    setattr(model, f"is_loaded_in_{bits}", True)  # by which peft chooses its layers
    return model.to(device)


def count(model: nn.Module) -> int:
    """Weights of a model, those that share a byte apart."""
    states = ((parameter, getattr(parameter, "quant_state", None)) for parameter in model.parameters())
    return sum(parameter.numel() if state is None else state.shape.numel() for parameter, state in states)


def _is_converted(model: Any, name: str, part: nn.Module) -> bool:
    from torch import nn

    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    return type(part) is nn.Linear and part is not model.get_output_embeddings() and not kept & set(name.split("."))


def _converted(layer: nn.Linear, bits: Bits, dtype: torch.dtype) -> nn.Module:
    """The layer in bitsandbytes' form; its weights are rounded when it is moved to where it works."""
    import bitsandbytes as bnb

    inputs, outputs, biased = layer.in_features, layer.out_features, layer.bias is not None
    new: Any
    if bits == "4bit":
        new = bnb.nn.Linear4bit(inputs, outputs, biased, compute_dtype=dtype, quant_type="nf4", device="meta")
        # On a processor that could, the first look without gradients would pack the weights anew, with coarser scales.
        new.support_avx512bf16_for_cpu = False
        new.weight = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", module=new)
    else:
        new = bnb.nn.Linear8bitLt(inputs, outputs, biased, has_fp16_weights=False, device="meta")
        new.weight = bnb.nn.Int8Params(layer.weight.data, requires_grad=False)
    new.bias = layer.bias
    return new.requires_grad_(False)
