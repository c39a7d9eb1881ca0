"""Models, their tokenizers, LoRA, and the rendering of prompts."""

from typing import Any

from plad.models.load import PretrainedModel, ScratchModel
from plad.models.lora import Lora
from plad.models.prompts import PromptFormat

MODELS: dict[str, Any] = {
    "pretrained": PretrainedModel,
    "scratch": ScratchModel,
}

__all__ = ["MODELS", "Lora", "PretrainedModel", "PromptFormat", "ScratchModel"]
