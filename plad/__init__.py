"""Distil a strong language model into a small one from pseudo-preference pairs (arXiv 2406.02886).

Names are imported when they are first used, so that `import plad` takes no time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# What libraries below this one would send home about their use.
for _name, _off in {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
}.items():
    os.environ.setdefault(_name, _off)

if TYPE_CHECKING:
    from plad.config import Recipe, load_recipe
    from plad.data import make_pairs, split
    from plad.errors import PladError
    from plad.evaluation import evaluate_outputs, win_rate
    from plad.generation import HFGenerator, Sampling
    from plad.losses import MarginCalibration, NegativeLogLikelihood, RankingCalibration
    from plad.models import Lora, PromptFormat, ScratchModel
    from plad.pipeline import run
    from plad.records import EvalRow, Generation, PreferencePair, Prompt
    from plad.training.trainer import PladTrainer

    __version__: str

_MODULES = {
    "EvalRow": "plad.records",
    "Generation": "plad.records",
    "HFGenerator": "plad.generation",
    "Lora": "plad.models",
    "MarginCalibration": "plad.losses",
    "NegativeLogLikelihood": "plad.losses",
    "PladError": "plad.errors",
    "PladTrainer": "plad.training.trainer",
    "PreferencePair": "plad.records",
    "Prompt": "plad.records",
    "PromptFormat": "plad.models",
    "RankingCalibration": "plad.losses",
    "Recipe": "plad.config",
    "Sampling": "plad.generation",
    "ScratchModel": "plad.models",
    "evaluate_outputs": "plad.evaluation",
    "load_recipe": "plad.config",
    "make_pairs": "plad.data",
    "run": "plad.pipeline",
    "split": "plad.data",
    "win_rate": "plad.evaluation",
}

__all__ = [
    "EvalRow",
    "Generation",
    "HFGenerator",
    "Lora",
    "MarginCalibration",
    "NegativeLogLikelihood",
    "PladError",
    "PladTrainer",
    "PreferencePair",
    "Prompt",
    "PromptFormat",
    "RankingCalibration",
    "Recipe",
    "Sampling",
    "ScratchModel",
    "__version__",
    "evaluate_outputs",
    "load_recipe",
    "make_pairs",
    "run",
    "split",
    "win_rate",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("plad")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'plad' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
