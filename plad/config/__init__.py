"""The recipe: YAML and dotted overrides in, one validated object out."""

from plad.config.problems import check
from plad.config.reading import changed, load_recipe, parse_settings, read_recipe_text
from plad.config.recipe import Recipe
from plad.config.sections import CalibrationCheck, Distillation, Evaluation, ModelRole, Sample, Scorer, Training

__all__ = [
    "CalibrationCheck",
    "Distillation",
    "Evaluation",
    "ModelRole",
    "Recipe",
    "Sample",
    "Scorer",
    "Training",
    "changed",
    "check",
    "load_recipe",
    "parse_settings",
    "read_recipe_text",
]
