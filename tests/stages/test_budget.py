"""Costs by hand, and that methods of equal compute cost the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder, finished

from plad.config import Distillation, load_recipe
from plad.errors import PladError
from plad.losses import DPO, GKD, KD, Loss, MiniLLM, MiniLLMCode, NegativeLogLikelihood
from plad.models import Lora
from plad.pipeline import run
from plad.stages.budget import Cost, Sizes, cost
from plad.training.examples import Examples
from plad.training.layout import Example

SIZES = Sizes(student=10, teacher=100, answer=3.0)
WHOLE, ADAPTER = (Distillation(batch_size=2, lora=lora) for lora in (None, Lora()))
DATA = Examples([Example([1, 2], [[3, 4]]), Example([1, 2, 3], [[4, 5, 6]])])  # 4 and 6 tokens
PROMPTS = Examples([Example([1, 2, 3, 4], []), Example([1, 2, 3, 4, 5, 6], [])])  # the same, before an answer


@pytest.mark.parametrize(
    ("loss", "settings", "data", "expected"),
    [
        (NegativeLogLikelihood(), WHOLE, DATA, Cost(7, 2 * 5 * 60)),
        (NegativeLogLikelihood(), ADAPTER, DATA, Cost(7, 2 * 5 * 40)),
        (KD(), WHOLE, DATA, Cost(7, 2 * 5 * (60 + 200))),
        (DPO(), WHOLE, DATA, Cost(7 + 2 * 10 * (4 + 6), 2 * 5 * 60)),
        (GKD(), WHOLE, PROMPTS, Cost(7, 2 * ((5 + 3) * 2 * 10 + (5 + 3) * (60 + 200)))),
        # Its text has 5 tokens on average, and its samples are drawn from both models.
        (MiniLLM(), WHOLE, PROMPTS, Cost(7, 2 * ((5 + 3) * 2 * (10 + 100) + (5 + 3 + 5) * (60 + 200)))),
        # The teacher reads along though no token is drawn from it, for the rewards.
        (
            MiniLLMCode(teacher_share=0, text=0),
            WHOLE,
            PROMPTS,
            Cost(7, 2 * ((5 + 3) * 2 * (10 + 100) + (5 + 3) * (60 + 200))),
        ),
    ],
    ids=["nll", "lora", "kd", "dpo", "gkd", "minillm", "minillm_code"],
)
def test_costs_by_hand(loss: Loss, settings: Distillation, data: Examples, expected: Cost) -> None:
    text = DATA if isinstance(loss, MiniLLM) else None
    assert cost(SIZES, settings, loss, data, text, before=7) == expected


def test_as_many_steps_as_are_paid_for() -> None:
    assert Cost(100, 30).of(10) == 400
    assert Cost(100, 30).steps_for(400) == 10
    assert Cost(100, 30).steps_for(429) == 10
    assert Cost(100, 30).steps_for(50) == 1
    # Three rounds: 1000 less 100 at first and 20 before each of two more leaves 860, which is 286 a round.
    assert Cost(100, 30).steps_for(1000, rounds=3, again=20) == 9


def test_methods_of_equal_compute_cost_what_the_pairs_do(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    before = {name: finished(folder)[f"distill/{name}"]["summary"] for name in ("sft", "seqkd", "plad")}
    assert {summary["steps"] for summary in before.values()} == {4}
    run(load_recipe(folder / "recipe.yaml", ["distill.equal=compute"]), folder, Recorder())
    after = {name: finished(folder)[f"distill/{name}"]["summary"] for name in before}
    assert (after["plad"]["steps"], after["plad"]["flops"]) == (4, before["plad"]["flops"])
    step = before["sft"]["flops"] / 4  # references were there already: nothing is spent before
    assert after["sft"]["steps"] == int(before["plad"]["flops"] // step) > 4
    assert 4 < after["seqkd"]["steps"] < after["sft"]["steps"], "it pays for the teacher's answers"
    answers = finished(folder)["sample/teacher"]["summary"]["tokens"]
    assert (after["sft"]["generated"], after["seqkd"]["generated"]) == (0, answers)


def test_a_budget_pays_for_the_answers_and_the_steps(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    budget = 3 * finished(folder)["distill/plad"]["summary"]["flops"]
    run(
        load_recipe(folder / "recipe.yaml", ["distill.max_steps=null", f"distill.max_flops={budget}"]),
        folder,
        Recorder(),
    )
    for name in ("sft", "seqkd", "plad"):
        spent = finished(folder)[f"distill/{name}"]["summary"]
        assert spent["flops"] <= budget < spent["flops"] * (1 + 1 / spent["steps"]), "to a step"


def test_steps_are_counted_in_one_way(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"distill\.max_steps: .* both are set, the latter to 4"):
        load_recipe(tiny_recipe, ["distill.max_flops=1e9"])
