"""What a recipe asks of this machine that the machine can only do slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plad.config import Recipe
from plad.models.load import device
from plad.models.precision import computes_bf16

ELSEWHERE = ("vllm", "ray", "openai")
"""Engines that compute on devices of their own."""


def slow_bf16(recipe: Recipe) -> str | None:
    """A sentence on the settings that ask for bf16 of a device that has no arithmetic for it; None where none does."""
    if computes_bf16(device()):
        return None
    places = list(_in_bf16(recipe.model_dump(mode="json"), ()))
    if not places:
        return None
    named = f"{', '.join(places[:3])}{f' and {len(places) - 3} more' if len(places) > 3 else ''}"
    return (
        f"bf16 takes tens of times as long as fp32 on this processor, which has no arithmetic for it: {named}. "
        "Write precision: auto and bf16: auto, which go by the device, and dtype: float32."
    )


def _in_bf16(value: Any, at: tuple[str, ...]) -> Iterator[str]:
    """The places, dotted, where a recipe's mapping asks this process for bf16."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _in_bf16(each, (*at[:-1], f"{at[-1]}[{index}]"))
    elif isinstance(value, dict) and value.get("type") not in ELSEWHERE and value.get("device", "cpu") == "cpu":
        for key, each in value.items():
            if (key, each) in (("precision", "bf16"), ("dtype", "bfloat16")) or (key == "bf16" and each is True):
                yield ".".join((*at, key))
            yield from _in_bf16(each, (*at, key))
