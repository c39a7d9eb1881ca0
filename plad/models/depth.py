"""A shallower student: some of a deeper model's layers, as DistilBERT begins (Sanh et al. 2019, arXiv 1910.01108)."""

from __future__ import annotations

import copy
from typing import Any

from plad.errors import PladError


def kept(layers: int, keep: int) -> list[int]:
    """Which of `layers` layers stay: the first, the last, and others evenly between them."""
    return [round(k * (layers - 1) / max(1, keep - 1)) for k in range(keep)]


def shallow_config(config: Any, keep: int) -> Any:
    """A copy of a config with `keep` of its layers.

    Raises:
        PladError: the model is an encoder-decoder, lists its layers in a way of its own, or has no more than `keep`.
    """
    if config.is_encoder_decoder or hasattr(config, "attention_layers"):
        raise PladError(
            f"keep_layers takes layers from one stack of like layers, which a {config.model_type} model is not. "
            "Leave it null."
        )
    layers = config.num_hidden_layers
    if keep >= layers:
        raise PladError(f"keep_layers must be less than the layers there are, but {keep} is not less than {layers}.")
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = keep
    if types := getattr(config, "layer_types", None):
        shallow.layer_types = [types[n] for n in kept(layers, keep)]
    return shallow


def cut(model: Any, keep: int) -> Any:
    """The model with `keep` of its layers, in place; everything else stays as it is."""
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
