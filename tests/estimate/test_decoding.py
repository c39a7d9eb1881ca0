"""The model of an engine against numbers by hand, and against what was published."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plad.errors import PladError
from plad.estimate.counting import typical_cache
from plad.estimate.decoding import Held, Work, decoding
from plad.speed import GPU, GPUS


def test_a_time_by_hand() -> None:
    """A GPU of 2,000 FLOP/s, 1,250 B/s and 1,000 B; a model of 100 weights of 2 B that keeps 5 numbers of a token."""
    gpu, model = GPU(2000, 1000, 1250), Held(weights=100, cache=5)
    found = decoding(gpu, 1, model, Work(answers=40, prompt=6, answer=8, at_most=1000))
    # 900 B are usable, 700 of them beside the weights; an answer holds 6 + 8 / 2 tokens of 10 B on average.
    assert found.batch == 7
    # At half of its FLOP/s and four fifths of its bytes: 2 · 100 FLOPs a token, 200 B of weights for 7 answers.
    prompt, computing = 6 * 200 / 1000, 8 * 200 / 1000
    weights, cache = 8 * 200 / 1000 / 7, 8 * 100 / 1000
    assert found.seconds == pytest.approx(40 * (prompt + computing + weights + cache))
    assert found.bound == "computing answers"


def test_fewer_at_a_time_wait_for_the_weights() -> None:
    gpu, model, work = GPUS["h100"], Held(8.03e9, typical_cache(8.03e9)), Work(10_000, 100, 400, at_most=512)
    many, few = (decoding(gpu, 1, model, replace(work, at_most=n)) for n in (512, 4))
    assert few.bound == "moving weights"
    assert few.seconds > 10 * many.seconds
    assert decoding(gpu, 4, model, work).seconds == pytest.approx(many.seconds / 4), "four copies"
    assert decoding(gpu, 1, model, replace(work, answers=3)).batch == 3


def test_a_model_without_room_is_refused() -> None:
    model, work = Held(70.6e9, typical_cache(70.6e9)), Work(10, 100, 100, 8)
    with pytest.raises(PladError, match=r"141 GB of weights have none on 1 of these GPUs, of 80 GB each\. Share it"):
        decoding(GPUS["h100"], 8, model, work)
    assert decoding(GPUS["h100"], 8, model, work, shards=4).seconds > 0


@pytest.mark.parametrize(("weights", "layers"), [(8.03e9, 32), (70.6e9, 80)])
def test_a_size_stands_for_a_model_of_that_size(weights: float, layers: int) -> None:
    """Llama 3's 8 B and 70 B; each layer keeps 8 heads of 128 twice."""
    assert typical_cache(weights) == pytest.approx(2 * 8 * 128 * layers, rel=0.01)


PUBLISHED = """
128/128    6378 28312 3803 3627
128/2048   6651 22714 4336 4340
128/4096   4199 14325 2872 3116
500/2000   5222 17660 3666 3994
1000/1000  4205 15220 2909 2919
1000/2000  4146 13899 2994 2895
2048/128    762  3450  442  453
2048/2048  3082  9305 2003 2296
5000/500    898  3459  566  610
20000/2000  437  1351  283  345
"""
"""Output tokens a second that NVIDIA published for TensorRT-LLM in FP8, by tokens of prompt and answer: Llama 3.3 70B
on two H100s, 3.1 8B on one, 70B on one H200, 3.1 405B on eight H100s (docs/scaling.md names the page)."""

H100, H200 = (replace(GPUS[name], flops=2 * GPUS[name].flops) for name in ("h100", "h200"))  # FP8 has twice the FLOP/s
LLAMA_8B, LLAMA_70B, LLAMA_405B = (
    Held(weights, 2 * 8 * 128 * layers, bytes=1) for weights, layers in ((8.03e9, 32), (70.6e9, 80), (405.9e9, 126))
)
COLUMNS = [
    (H100, 2, LLAMA_70B, 0.95, 1.2),
    (H100, 1, LLAMA_8B, 0.85, 1.0),
    (H200, 1, LLAMA_70B, 0.75, 1.0),
    # What eight GPUs tell each other is in no data sheet that is looked at here.
    (H100, 8, LLAMA_405B, 1.2, 1.7),
]


@pytest.mark.parametrize("column", range(4))
def test_the_model_is_near_published_throughput(column: int) -> None:
    gpu, shards, model, low, high = COLUMNS[column]
    ratios = []
    for row in PUBLISHED.strip().splitlines():
        prompt, answer, *published = map(int, re.split(r"[/\s]+", row))
        found = decoding(gpu, shards, model, Work(30_000, prompt, answer, at_most=2048), shards)
        ratios.append(30_000 * answer / found.seconds / published[column])
    assert len(ratios) == 10
    assert low < min(ratios) <= max(ratios) < high
