"""What an estimate multiplies: prompts, tokens of a prompt and of an answer, weights. Counted, or assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Self

from pydantic import Field, PositiveFloat, ValidationError, model_validator

from plad.config import Recipe, parse_settings
from plad.data import SplitData, split
from plad.data.splits import NAMES
from plad.errors import PladError, nearest
from plad.estimate.decoding import Held
from plad.models.prompts import Formatter
from plad.records import Prompt
from plad.spec import Spec

_COUNTED = 500
_CHARACTER = 0.25
"""Tokens of a character of English, where no tokenizer is there to tell."""


class Assumed(Spec):
    """What is taken as given in place of being counted, so that neither data nor models need be there."""

    prompts: int | None = Field(None, ge=4, description="of the task, before they are divided")
    prompt_tokens: PositiveFloat | None = Field(None, description="of a prompt, on average")
    answer_tokens: PositiveFloat | None = Field(None, description="of an answer, on average")
    teacher: PositiveFloat | None = Field(None, description="weights, such as 70.6e9")
    student: PositiveFloat | None = Field(None, description="weights")
    gpu_hour: float = Field(0.0, ge=0, description="price of an hour of one GPU")

    @model_validator(mode="after")
    def _of_some_length(self) -> Self:
        if self.prompts is not None and self.lengths is None:
            raise ValueError("prompts that are not read must have a length; assume prompt_tokens and answer_tokens too")
        return self

    @property
    def lengths(self) -> Lengths | None:
        """Those of every model, where both are given."""
        if self.prompt_tokens is None or self.answer_tokens is None:
            return None
        return Lengths(self.prompt_tokens, self.answer_tokens, _CHARACTER)


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt, of a reference with its end token, and of a character, under one model's tokenizer."""

    prompt: float
    answer: float
    per_character: float


@dataclass(frozen=True)
class Counted:
    """By the names of splits the prompts of each; by the names of models with weights what they are.

    `lengths` has the teacher's too where it has no weights: nobody knows the tokenizer behind a server, and the
    student's stands in for it. `data` is None where prompts are assumed.
    """

    prompts: Mapping[str, int]
    lengths: Mapping[str, Lengths]
    models: Mapping[str, Held]
    data: SplitData | None

    def weights(self, name: str) -> float:
        """0 of a teacher of which nothing but text is seen."""
        return self.models[name].weights if name in self.models else 0

    def of(self, name: str) -> Sequence[Prompt] | None:
        """The prompts of a split, where they were read."""
        return None if self.data is None else getattr(self.data, name)


def read_assumptions(given: Sequence[str]) -> Assumed:
    """`KEY=VALUE` each.

    Raises:
        PladError: a key is unknown, or a value does not fit it.
    """
    values = parse_settings(given)
    for name in values:
        if name not in Assumed.model_fields:
            known = list(Assumed.model_fields)
            raise PladError(f"--assume knows no {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")
    try:
        # YAML 1.1 reads 8e9 as text, which is a number to everybody else.
        return Assumed.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        place = "".join(f" {name}" for name in problem["loc"])
        raise PladError(f"--assume{place}: {problem['msg'].removeprefix('Value error, ')}.") from None


def counted(recipe: Recipe, assumed: Assumed) -> Counted:
    """Read the task and load tokenizers and configs, as far as nothing is assumed in their place.

    Raises:
        PladError: a model from scratch is to be counted without data to train its tokenizer on.
    """
    data = None if assumed.prompts else split(recipe.task.source.prompts(), recipe.task.splits, recipe.seed)
    names = ["student"] if recipe.teacher.text_only else ["teacher", "student"]
    formatters, lengths, models = [], {}, {}
    for name in names:
        model, weights = getattr(recipe, name).model, getattr(assumed, name)
        tokenizer = None if weights and assumed.lengths else _tokenizer(name, model, data)
        models[name] = Held(weights, typical_cache(weights)) if weights else _held(model, tokenizer)
        if data is None or assumed.lengths is not None:
            assert assumed.lengths is not None
            lengths[name] = assumed.lengths
        else:
            formatters.append(recipe.prompt_of(name).bind(tokenizer, model.shape().encoder_decoder))
            lengths[name] = _lengths(formatters[-1], data)
    if data is not None:
        data = _fitting(data, [formatter for formatter in formatters if formatter.spec.too_long == "drop"])
    lengths.setdefault("teacher", lengths["student"])
    return Counted(_prompts(recipe, assumed, data), lengths, models, data)


def typical_cache(weights: float) -> float:
    """Numbers that attention keeps of a token in a model of that size.

    Of Llama 3's 8 B (32 layers) and 70 B (80), each with 8 heads of 128 for keys and for values, and between and
    beyond them by the power law through the two.
    """
    layers = 32 * (weights / 8.03e9) ** 0.42
    return 2 * 8 * 128 * layers


def _tokenizer(name: str, model: Any, data: SplitData | None) -> Any:
    if data is None and model.type == "scratch":
        raise PladError(
            f"the tokenizer of a {name} from scratch is trained on the task, but its prompts are assumed. "
            f"Assume its weights too: --assume {name}=1e9."
        )
    train = () if data is None else data.train
    return model.tokenizer([f"{prompt.text}\n{prompt.reference}" for prompt in train])


def _held(model: Any, tokenizer: Any) -> Held:
    """As answers are computed: in the precision of the recipe."""
    size = 4 if getattr(model, "dtype", "float32") == "float32" else 2
    return Held(model.parameters(tokenizer), model.shape().cache, size)


def _prompts(recipe: Recipe, assumed: Assumed, data: SplitData | None) -> dict[str, int]:
    if data is not None:
        return {name: len(getattr(data, name)) for name in NAMES}
    splits = recipe.task.splits
    wanted = [round(share * (assumed.prompts or 0)) for share in splits.fractions()]
    return {name: min(n, cap or n) for name, n, cap in zip(NAMES, wanted, splits.caps(), strict=True)}


def _fitting(data: SplitData, formatters: Sequence[Formatter]) -> SplitData:
    """Without the prompts that the run will drop, since they are too long for one of the models."""

    def fitting(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
        return tuple(prompt for prompt in prompts if all(f.fits(prompt.prompt) for f in formatters))

    return replace(
        data,
        train=fitting(data.train),
        distill=fitting(data.distill),
        validation=fitting(data.validation),
        test=fitting(data.test),
    )


def _lengths(formatter: Formatter, data: SplitData) -> Lengths:
    limit = formatter.spec.max_prompt_tokens
    kept = [prompt for prompt in data.distill[:_COUNTED] if formatter.fits(prompt.prompt)]
    references = [prompt.reference or "" for prompt in data.train[:_COUNTED]]  # in the order of hashes: a fair sample
    answers = [len(formatter.response_ids(reference)) for reference in references]
    return Lengths(
        fmean(len(formatter.prompt_ids(prompt.prompt)) for prompt in kept) if kept else float(limit),
        fmean(answers),
        sum(answers) / max(1, sum(map(len, references))),
    )
