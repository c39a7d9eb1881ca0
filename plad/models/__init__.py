"""Models, their tokenizers, LoRA, and the rendering of prompts."""

from plad.models.load import PretrainedModel, ScratchModel
from plad.models.lora import Lora
from plad.models.prompts import PromptFormat

MODELS = {
    "pretrained": PretrainedModel,
    "scratch": ScratchModel,
}

__all__ = ["MODELS", "Lora", "PretrainedModel", "PromptFormat", "ScratchModel"]
