"""Before any work: what would fail after hours."""

from __future__ import annotations

from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.models.vocabulary import check_alike
from plad.records import Prompt
from plad.scoring.judging import needs_training, paid_for
from plad.stages.context import Context
from plad.stages.room import check_memory
from plad.stages.slow import slow_bf16


def check(context: Context) -> dict[str, Any]:
    """Find out in seconds what would fail after hours: a model of the wrong kind or size, a scorer that scores nothing.

    Raises:
        PladError: with the rule, the value and the remedy.
    """
    recipe = context.recipe
    if slow := slow_bf16(recipe):
        context.display.say(f"  {slow}")
    for name in ("teacher", "student"):
        model = getattr(recipe, name).model
        try:
            if name == "teacher" and recipe.teacher.text_only:
                model.probe()
            else:
                _check_room(recipe, name, model.shape())
        except PladError as error:
            raise PladError(f"{name}.model: {error}") from None
    if names := white_box(recipe):
        try:
            check_alike(recipe.teacher.model, recipe.student.model)
            check_memory(recipe)
        except PladError as error:
            raise PladError(f"method {names[0]}: {error}") from None
    used = {"evaluate.judge": recipe.evaluate.judge}
    used |= {f"evaluate.also ({label})": scorer for label, scorer in recipe.evaluate.others.items()}
    if recipe.scores_pairs:
        used["pairs.scorer"] = recipe.pairs.scorer
    if recipe.pairs.audit is not None:
        used["pairs.audit.scorer"] = recipe.auditor
    if recipe.evaluate.calibration and recipe.evaluate.calibration.scorer:
        used["evaluate.calibration.scorer"] = recipe.evaluate.calibration.scorer
    for place, scorer in used.items():
        with context.display.bar(f"trying {place}", None):
            _try_scorer(scorer, place)
    return {}


def white_box(recipe: Recipe) -> list[str]:
    """The names of the methods that look inside the teacher."""
    return [name for name, method in recipe.methods.items() if method.objective(recipe.distill.loss).needs_teacher]


def _check_room(recipe: Recipe, name: str, shape: Any) -> None:
    """Refuse limits that a model has too few positions for."""
    samplings = (recipe.sample, recipe.evaluate.sampling or recipe.sample)
    prompt = recipe.prompt_of(name).max_prompt_tokens
    response = max(recipe.prompt_of(name).max_response_tokens, *(sampling.max_new_tokens for sampling in samplings))
    needed = max(prompt, response) if shape.encoder_decoder else prompt + response
    if shape.context is not None and needed > shape.context:
        raise PladError(
            f"the {name} has a context of {shape.context} tokens, but prompts of {prompt} (prompt.max_prompt_tokens) "
            f"and responses of {response} (prompt.max_response_tokens or max_new_tokens) need {needed}. "
            "Lower one of them."
        )


def _try_scorer(scorer: Any, place: str) -> None:
    """Load a scorer and score one answer, or embed one text where it is yet to be trained."""
    # A copy: what it loads is let go of again, and does not stay in memory beside the models.
    scorer = scorer.model_copy()
    try:
        if place == "evaluate.judge" and needs_training(scorer):
            scorer.encoder().encode(["one text"])
        elif paid_for(scorer):
            scorer.probe()
        else:
            scorer.score([Prompt("probe", "a prompt", reference="an answer")], ["another answer"])
    except PladError as error:
        raise PladError(f"{place}: {error}") from None
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise PladError(f"{place}: {_model_of(scorer)} does not load: {reason}. Mend its settings.") from None


def _model_of(scorer: Any) -> str:
    return str(getattr(scorer, "model", scorer.type))
