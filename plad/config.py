"""The recipe: YAML and dotted overrides in, validated objects out. A mistake is refused with its line and value.

Every object of a recipe is the thing itself (a loss, a source, a scorer), not a description of it, and its `type:`
is looked up in the table of the folder that defines it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError

from plad.data import SOURCES, Splits
from plad.errors import PladError, nearest
from plad.generation import Sampling
from plad.losses import LOSSES, Loss, RankingCalibration
from plad.models import MODELS, Lora, PromptFormat
from plad.scoring import SCORERS
from plad.spec import Spec
from plad.training.run import Optimisation


def variant(table: Mapping[str, Any]) -> Any:
    """The type of a field whose `type:` names an entry of `table`."""

    def name(value: Any) -> Any:
        return value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)

    union: Any = reduce(or_, (Annotated[kind, Tag(tag)] for tag, kind in table.items()))
    return Annotated[union, Discriminator(name)]


Source: Any = variant(SOURCES)
Model: Any = variant(MODELS)
Scorer: Any = variant(SCORERS)
Objective: Any = variant({name: LOSSES[name] for name in ("ranking", "margin")})


class Task(Spec):
    """Where prompts come from and how they are divided."""

    source: Source
    splits: Splits = Splits()


class Training(Optimisation):
    """An optimisation of the whole model, or of a LoRA adapter."""

    lora: Lora | None = None


class Distillation(Training):
    """The student's training on preference pairs. LoRA by default, as in the paper; `lora: null` trains it whole."""

    loss: Objective = RankingCalibration()
    lora: Lora | None = Lora()


class ModelRole(Spec):
    """A teacher or a student: where its weights come from, and its supervised fine-tuning (null for none)."""

    model: Model
    sft: Training | None = Training()


class Sample(Sampling):
    """How teacher and student answer."""

    batch_size: int = Field(64, ge=1, description="prompts at a time; part of what makes two runs equal")


class Pairing(Spec):
    """How pairs are made. The scorer is used where the loss needs scores, or pairs are ordered by them."""

    scorer: Scorer | None = None
    real_share: float = Field(0.0, ge=0, le=1, description="ρ, the share of pairs that the scorer orders")


class Baseline(Spec):
    """A method to compare with. It takes as many optimiser steps as the distillation, at a learning rate of its own."""

    learning_rate: float | None = Field(None, gt=0, description="that of distill where null")


class Baselines(Spec):
    """Which methods the student is compared with; null leaves one out."""

    sft: Baseline | None = Baseline()
    seqkd: Baseline | None = Baseline()


class Evaluation(Spec):
    """How models answer the test split and who judges the answers."""

    judge: Scorer
    sampling: Sample | None = Field(None, description="that of sample where null")
    judge_samples: int = Field(1000, ge=0, description="student's answers to training prompts that a judge learns from")


class Recipe(Spec):
    """Everything that determines a run."""

    name: str = Field("run", pattern=r"^[\w.-]+$", description="names the run's folder")
    seed: int = Field(1, ge=0, le=2**31)
    task: Task
    prompt: PromptFormat = PromptFormat()
    teacher: ModelRole
    student: ModelRole
    sample: Sample = Sample()
    pairs: Pairing = Pairing()
    distill: Distillation = Distillation()
    baselines: Baselines = Baselines()
    evaluate: Evaluation

    def check(self) -> None:
        """What no single field can tell, before any work.

        Raises:
            PladError: with the rule, the value and the remedy.
        """
        for role, name in ((self.teacher, "teacher"), (self.student, "student")):
            try:
                role.model.check()
            except PladError as error:
                raise PladError(f"{name}.model: {error}") from None
        loss: Loss = self.distill.loss
        if loss.needs_scores and self.pairs.scorer is None:
            raise PladError(
                f"distill.loss of type {self.distill.loss.type} needs scores, but pairs.scorer is null. "
                "Name a scorer there (such as `type: embedding`), or use `type: ranking`."
            )
        if self.pairs.real_share and self.pairs.scorer is None:
            raise PladError(
                f"pairs.real_share is {self.pairs.real_share}, but pairs.scorer is null. Name the scorer that orders."
            )

    def to_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        overrides: dotted settings such as `distill.loss.margin=0.5`; the value is YAML.

    Raises:
        PladError: the file is missing or not YAML, a key is unknown, a value is of the wrong type, or the whole makes
            no sense. The message has the line, the value and the nearest right name.
    """
    text = read_recipe_text(path)
    data, lines = _parse(text, path)
    for override in overrides:
        _override(data, override)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise PladError(_explain(error, data, lines, path)) from None
    recipe.check()
    return recipe


def read_recipe_text(path: Path) -> str:
    """The text of a recipe file.

    Raises:
        PladError: there is none.
    """
    if not path.is_file():
        beside = [str(p) for folder in (path.parent, Path("recipes")) for p in sorted(folder.glob("*.yaml"))]
        raise PladError(f"there is no recipe {path}.{nearest(str(path), beside)} `plad init` writes one.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PladError(f"a recipe is UTF-8 text, but {path} is not ({error.reason} at byte {error.start}).") from None


def _parse(text: str, path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PladError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise PladError(f"a recipe is a mapping of sections, but {path} holds {type(data).__name__}.")
    lines: dict[tuple[str, ...], int] = {}
    _mark(node, (), lines)
    return data, lines


def _mark(node: Any, at: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    """Note on which line each key stands; refuse one that stands twice, of which YAML would keep the last."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            if place in lines:
                raise PladError(
                    f"line {key.start_mark.line + 1}: {'.'.join(place)} stands twice, first on line {lines[place]}."
                )
            lines[place] = key.start_mark.line + 1
            _mark(value, place, lines)


def _override(data: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise PladError(f"--set takes key.key=value, but got {override!r}.")
    *parents, last = dotted.split(".")
    here = data
    for key in parents:
        if here.get(key) is None:
            here[key] = {}
        here = here[key]
        if not isinstance(here, dict):
            raise PladError(f"--set {override}: {key} is {here!r} in the recipe and has no keys of its own.")
    try:
        here[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PladError(f"--set {override}: the value is not YAML ({' '.join(str(error).split())}).") from None


def _explain(error: ValidationError, data: Any, lines: dict[tuple[str, ...], int], path: Path) -> str:
    """One line a mistake: file, line, dotted key, what is wrong, and the nearest right name."""
    told = [_one(problem, data, lines, path) for problem in error.errors()]
    return "\n".join(dict.fromkeys(told))


def _one(problem: Any, data: Any, lines: dict[tuple[str, ...], int], path: Path) -> str:
    place = _place(problem["loc"], data)
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    where = f"{path}, line {line}" if line else str(path)
    return f"{where}: {'.'.join(place) or 'the recipe'}: {_what(problem, place)}"


def _what(problem: Any, place: tuple[str, ...]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        names = _names_at(place[:-1], problem["loc"])
        return f"unknown key.{nearest(place[-1], names)}" + (f" Known: {', '.join(names)}." if names else "")
    if kind == "missing":
        return "is required, but is not there."
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tags = [tag.strip(" '") for tag in str(context.get("expected_tags") or "").split(",") if tag.strip()]
        given = context.get("tag")
        tags = tags or _tags_at(place)
        ask = f"unknown type {given!r}." + nearest(str(given), tags) if given else "needs a `type:`."
        return f"{ask} Known: {', '.join(tags)}." if tags else ask
    message = problem["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}, but got {problem['input']!r}."


def _place(location: Sequence[Any], data: Any) -> tuple[str, ...]:
    """Where in the file a problem is: pydantic's location less the names of variants, which are no keys."""
    place: list[str] = []
    here = data
    for step in location:
        if isinstance(here, Mapping) and here.get("type") == step and step not in here:
            continue
        place.append(str(step))
        here = here.get(step) if isinstance(here, Mapping) else None
    return tuple(place)


def _names_at(place: tuple[str, ...], location: Sequence[Any]) -> list[str]:
    kind = _kind_at(location[:-1])
    return list(kind.model_fields) if kind else []


def _kind_at(location: Sequence[Any]) -> Any:
    """The class whose fields the keys at a location are."""
    tables: dict[str, Any] = {**SOURCES, **MODELS, **SCORERS, **LOSSES}
    here: Any = Recipe
    for step in location:
        if here is None or not hasattr(here, "model_fields"):
            here = tables.get(step) if step in tables else None
            continue
        info = here.model_fields.get(step)
        here = _class_of(info.annotation) if info else tables.get(step)
    return here


def _class_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    options = [_class_of(a) for a in getattr(annotation, "__args__", ())]
    found = [option for option in options if option is not None]
    return found[0] if len(found) == 1 else None


def _tags_at(place: tuple[str, ...]) -> list[str]:
    tables: dict[str, Any] = {"source": SOURCES, "model": MODELS, "scorer": SCORERS, "judge": SCORERS, "loss": LOSSES}
    return [*tables.get(place[-1], {})] if place else []
