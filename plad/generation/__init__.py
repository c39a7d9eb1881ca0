"""Who answers prompts, and how."""

from typing import Any

from plad.generation.base import Generator, Sampling
from plad.generation.cached import Cached
from plad.generation.hf import HF, HFGenerator
from plad.generation.openai import OpenAI
from plad.generation.ray import Ray
from plad.generation.recorded import Recorded
from plad.generation.store import Store, Usage
from plad.generation.vllm import VLLM

ENGINES: dict[str, Any] = {"hf": HF, "ray": Ray, "vllm": VLLM}
"""What runs a model whose weights are here: `sample.backend` names one."""

TEACHERS: dict[str, Any] = {"openai": OpenAI, "recorded": Recorded}
"""Teachers of which nothing but text is seen: `teacher.model` names one in place of weights."""

GENERATORS: dict[str, Any] = {**ENGINES, **TEACHERS}

__all__ = [
    "ENGINES",
    "GENERATORS",
    "TEACHERS",
    "Cached",
    "Generator",
    "HFGenerator",
    "OpenAI",
    "Recorded",
    "Sampling",
    "Store",
    "Usage",
]
