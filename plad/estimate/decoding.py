"""How long an engine that batches continuously takes to answer prompts: what it computes and what it reads of memory.

A step gives a token to each answer under way. It reads all weights once and the attention cache of each answer, and
multiplies; a prompt is multiplied once. The times of these are added up, at fixed shares of a data sheet: they
overlap in part, and no kernel reaches the sheet. docs/scaling.md compares with published measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

from plad.errors import PladError
from plad.speed import GPU

COMPUTE_SHARE = 0.5
BANDWIDTH_SHARE = 0.8
MEMORY_SHARE = 0.9
"""Of a data sheet. The first two are round numbers near published rows, the third is what engines take by default."""

READING_PROMPTS, COMPUTING = "reading prompts", "computing answers"
READING_WEIGHTS, READING_CACHE = "moving weights", "moving the attention cache"


@dataclass(frozen=True)
class Held:
    """A model as an engine holds it.

    Args:
        weights: how many there are.
        cache: numbers that attention keeps of a token, over all layers.
        bytes: of each number.
    """

    weights: float
    cache: float
    bytes: int = 2


@dataclass(frozen=True)
class Work:
    """Answers, and the mean tokens of a prompt and of an answer; `at_most` are under way at a time in one engine."""

    answers: int
    prompt: float
    answer: float
    at_most: int


@dataclass(frozen=True)
class Decoding:
    """Seconds, answers under way at a time in one copy of the model, and what takes longest."""

    seconds: float
    batch: float
    bound: str


def decoding(gpu: GPU, count: int, model: Held, work: Work, shards: int = 1) -> Decoding:
    """On `count` GPUs, each copy of the model on `shards` of them.

    Raises:
        PladError: the model has no room on them.
    """
    room = MEMORY_SHARE * gpu.memory * shards - model.weights * model.bytes
    if room <= 0 or shards > count:
        raise PladError(
            f"a model that answers must have room, but {model.weights * model.bytes / 1e9:.0f} GB of weights have none "
            f"on {min(count, shards)} of these GPUs, of {gpu.memory / 1e9:.0f} GB each. Share it among more by "
            "sample.backend: {type: vllm, tensor_parallel: N}, alone or as the engine of type ray; or name others."
        )
    context = work.prompt + work.answer / 2  # on average over an answer's life
    copies = count // shards
    fitting = room / (model.cache * model.bytes * context) if model.cache else work.at_most
    batch = max(1.0, min(work.at_most, fitting, work.answers / copies))
    compute, bandwidth = (share * shards for share in (COMPUTE_SHARE * gpu.flops, BANDWIDTH_SHARE * gpu.bandwidth))
    spent = {
        READING_PROMPTS: 2 * model.weights * work.prompt / compute,
        COMPUTING: 2 * model.weights * work.answer / compute,
        READING_WEIGHTS: model.weights * model.bytes / bandwidth * work.answer / batch,
        READING_CACHE: model.cache * model.bytes * context / bandwidth * work.answer,
    }
    seconds = work.answers / copies * sum(spent.values())
    return Decoding(seconds, batch, max(spent, key=lambda name: spent[name]))
