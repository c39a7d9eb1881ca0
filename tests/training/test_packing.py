"""Micro-batches of a bounded number of tokens: worked out by hand, and for every layout on random examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainer import arguments, assert_equal, weights
from tiny import letters, make, make_examples

from plad.losses import RankingCalibration
from plad.training.examples import Examples
from plad.training.layout import DecoderLayout, EncoderDecoderLayout, Example
from plad.training.packing import Layout, micro_batches
from plad.training.trainer import PladTrainer

SHARED, PLAIN, T5 = DecoderLayout(0), DecoderLayout(0, share_prefix=False), EncoderDecoderLayout(0, 0)


def of_sizes(*sizes: int) -> list[Example]:
    """One-response examples of so many tokens in all, the last of which is the response."""
    return [Example([2] * (size - 1), [[1]]) for size in sizes]


def laid_out(examples: list[Example], layout: Layout) -> int:
    """Tokens of the tensors that a model is given, padding included."""
    batch = layout(examples)
    return batch["input_ids"].numel() + (batch["decoder_input_ids"].numel() if "decoder_input_ids" in batch else 0)


def test_without_a_limit_there_is_one_micro_batch() -> None:
    assert micro_batches(of_sizes(3, 9, 4), SHARED, None) == [[0, 1, 2]]
    assert micro_batches([], SHARED, None) == []


def test_rows_are_filled_first_fit_longest_first() -> None:
    # Limit 20. The 10 makes rows of 10, two of them at most: [10] [6 3]; the 9 and the 8 come before the 6 in length,
    # so: row 1: 10; row 2: 9; the 8 opens a micro-batch of rows of 8: [8] [6]; the 3 fits nowhere in 10 and 9 (1 left),
    # nor beside the 8, but 6 + 2 does: the 2 goes there, and the 3 opens its own.
    assert micro_batches(of_sizes(3, 10, 6, 9, 8, 2), SHARED, 20) == [[1, 3], [2, 4, 5], [0]]


def test_an_example_over_the_limit_is_alone() -> None:
    assert micro_batches(of_sizes(4, 50, 4), SHARED, 8) == [[1], [0, 2]]
    assert micro_batches(of_sizes(4, 50, 4), PLAIN, 8) == [[1], [0, 2]]


def test_plain_rows_are_a_rectangle() -> None:
    # Each example has one row. Sorted 9 8 5 4: 2 × 9 = 18 fits in 20, 3 × 9 does not; then 2 × 5.
    assert micro_batches(of_sizes(5, 9, 4, 8), PLAIN, 20) == [[1, 3], [0, 2]]


def test_an_encoder_reads_a_prompt_once() -> None:
    # Prompts of 4, two responses of 2: 4 + 2·2 = 8 tokens an example, three in 24.
    examples = [Example([2] * 4, [[3, 1], [4, 1]]) for _ in range(4)]
    assert micro_batches(examples, T5, 24) == [[0, 1, 2], [3]]


@pytest.mark.parametrize("layout", [SHARED, PLAIN, T5])
@given(
    sizes=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=25),
    limit=st.integers(1, 120),
)
@settings(max_examples=60, deadline=None)
def test_every_example_once_and_none_over_the_limit_but_alone(
    layout: Layout, sizes: list[tuple[int, int, int]], limit: int
) -> None:
    examples = [Example([2] * p, [[3] * a, [4] * b]) for p, a, b in sizes]
    found = micro_batches(examples, layout, limit)
    assert sorted(place for places in found for place in places) == list(range(len(examples)))
    for places in found:
        assert len(places) == 1 or laid_out([examples[k] for k in places], layout) <= limit


def test_packing_pads_less_than_counting() -> None:
    examples = make_examples(64, longest=40)
    whole = sum(example.tokens for example in examples)
    packed = sum(laid_out([examples[k] for k in places], SHARED) for places in micro_batches(examples, SHARED, 512))
    counted = sum(laid_out(examples[k : k + 8], PLAIN) for k in range(0, 64, 8))
    assert whole <= packed < 1.1 * whole < counted


@pytest.mark.parametrize("name", ["llama", "gpt-neo", "t5"])
def test_the_limit_changes_no_step(name: str, tmp_path: Path) -> None:
    found, passes = [], []
    for limit in (None, 1, 50):
        model = make(name)
        run = PladTrainer(
            model,
            arguments(tmp_path, per_device_train_batch_size=8, max_steps=3),
            Examples(make_examples(20, longest=20)),
            Examples(make_examples(5, seed=1)),
            processing_class=letters(),
            loss=RankingCalibration(margin=3),
            device_tokens=limit,
        )
        calls: list[int] = []
        model.get_output_embeddings().register_forward_hook(lambda *_, calls=calls: calls.append(1))
        run.train()
        passes.append(len(calls))
        found.append((weights(model), run.evaluate()["eval_loss"]))
    assert passes[0] < passes[2] < passes[1]
    for other, loss in found[1:]:
        assert_equal(other, found[0][0], atol=1e-6)
        assert loss == pytest.approx(found[0][1], rel=1e-5)


def test_no_backward_pass_where_every_hinge_is_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A β so small that the pairs already in order need nothing: the steps are the same, with fewer passes back."""

    def trained(anchor: float) -> tuple[dict[str, torch.Tensor], int]:
        model = make("llama")
        run = PladTrainer(
            model,
            arguments(tmp_path, per_device_train_batch_size=8, max_steps=3),
            Examples(make_examples(24)),
            processing_class=letters(),
            loss=RankingCalibration(margin=0.0, anchor=anchor),
            device_tokens=1,
        )
        calls: list[int] = []
        backward = run.accelerator.backward
        monkeypatch.setattr(run.accelerator, "backward", lambda loss: calls.append(1) or backward(loss))
        run.train()
        return weights(model), len(calls)

    without, skipped = trained(0.0)
    with_all, whole = trained(1e-30)
    assert whole == 24
    assert 0 < skipped < 24
    assert_equal(without, with_all, atol=1e-7)
