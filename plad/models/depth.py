"""A shallower student: some of a deeper model's layers, as DistilBERT begins (Sanh et al. 2019, arXiv 1910.01108).

Layers differ much in what their loss does: `benchmarks/cut_layers.py` finds those that a model can best do without.
"""

from __future__ import annotations

import copy
from typing import Any

from plad.errors import PladError

Keep = int | tuple[int, ...]
"""How many layers stay, or which, counted from 0."""


def kept(layers: int, keep: Keep) -> list[int]:
    """Which of `layers` layers stay: those that are named; of a number the first, the last, and others evenly between.

    Raises:
        PladError: `keep` names none, one that isn't there or none to leave out, or is out of order.
    """
    if isinstance(keep, int):
        if keep >= layers:
            raise PladError(
                f"keep_layers must be less than the layers there are, but {keep} is not less than {layers}."
            )
        return [round(k * (layers - 1) / max(1, keep - 1)) for k in range(keep)]
    if not keep or list(keep) != sorted({*keep} & {*range(layers)}) or len(keep) == layers:
        raise PladError(
            f"keep_layers must name some of the layers 0 to {layers - 1}, each once and in order, but is {list(keep)}."
        )
    return list(keep)


def shallow_config(config: Any, keep: Keep) -> Any:
    """A copy of a config with some of its layers.

    Raises:
        PladError: the model is an encoder-decoder, lists its layers in a way of its own, or `keep` does not fit it.
    """
    if config.is_encoder_decoder or hasattr(config, "attention_layers"):
        raise PladError(
            f"keep_layers takes layers from one stack of like layers, which a {config.model_type} model is not. "
            "Leave it null."
        )
    stay = kept(config.num_hidden_layers, keep)
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = len(stay)
    if types := getattr(config, "layer_types", None):
        shallow.layer_types = [types[n] for n in stay]
    return shallow


def cut(model: Any, keep: Keep) -> Any:
    """The model with some of its layers, in place; everything else stays as it is."""
    from torch import nn

    deep = model.config
    shallow, layers = shallow_config(deep, keep), deep.num_hidden_layers
    name, stack = next(
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == layers
    )
    stay = nn.ModuleList(stack[n] for n in kept(layers, keep))
    for number, layer in enumerate(stay):
        module: Any
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # where the cache keeps what this layer has seen
    model.set_submodule(name, stay)
    for module in model.modules():
        if getattr(module, "config", None) is deep:
            module.config = shallow
    return model
