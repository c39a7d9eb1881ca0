"""The guard through the pipeline: what it asks, when it needs the judge, and what the report says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder, finished

from plad.config import load_recipe
from plad.errors import PladError
from plad.evaluation.statistics import wins
from plad.models.load import load_folder, weights_digest
from plad.pipeline import run
from plad.planning import fingerprints, plan
from plad.records import Prompt, read_jsonl
from plad.report.guard import guard_facts, guard_verdict
from plad.report.read import read_run
from plad.scoring import Rouge

LEAN = ("baselines={sft: null, seqkd: null}", "evaluate.calibration=null", "evaluate.also=[]")


def test_the_best_of_the_steps_looked_at_is_the_student(copy_of_run: Callable[[], Path]) -> None:
    folder, settings = copy_of_run(), [*LEAN, "distill.guard={every: 1, prompts: 4}", "distill.keep=best"]
    plain = weights_digest(folder / "models" / "plad")
    recipe = load_recipe(folder / "recipe.yaml", [*settings, "distill.learning_rate=0.03"])
    run(recipe, folder, display := Recorder())
    records = [json.loads(line) for line in (folder / "models" / "plad" / "guard.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 1, 2, 3, 4]
    rates = {record["step"]: record["win_rate"] for record in records}
    kept = finished(folder)["distill/plad"]["summary"]["kept_step"]
    assert rates[kept] == max(rate for step, rate in rates.items() if step)
    assert weights_digest(folder / "models" / "plad") != plain
    # The student in the folder gives the win rate that was written down for the step.
    from plad.generation.hf import HFGenerator

    model, tokenizer = load_folder(folder / "models" / "plad")
    prompts = list(read_jsonl(folder / "data" / "validation.jsonl", Prompt))
    sampling = recipe.sample.model_copy(update={"temperature": 0.0})
    generator = HFGenerator(model, recipe.prompt.bind(tokenizer, False), 4)
    said = {answer.id: answer.response for answer in generator.generate(prompts, sampling, 0)}
    ours = Rouge().score(prompts, [said[prompt.id] for prompt in prompts])
    theirs = Rouge().score(prompts, [prompt.reference or "" for prompt in prompts])
    assert rates[kept] == pytest.approx(wins(ours, theirs).mean())
    read = read_run(folder)
    assert f"kept is step {kept}" in guard_facts(read)[0].note
    assert "4 looks" in guard_verdict(read)
    assert 'id="guard"' in (folder / "report.html").read_text()
    assert not [name for name in display.worked if name.startswith(("sft", "sample", "pair"))]


def test_the_judge_comes_first_where_it_chooses(tiny_recipe: Path) -> None:
    best = load_recipe(tiny_recipe, ["distill.guard={}", "distill.keep=best"])
    names = [task.name for task in plan(best)]
    assert names.index("evaluate/judge") < names.index("distill/sft")
    assert names.count("evaluate/judge") == 1
    after = {task.name: task.after for task in plan(best)}
    assert all("evaluate/judge" in after[f"distill/{name}"] for name in ("sft", "seqkd", "plad"))


def test_without_a_guard_a_run_keeps_its_fingerprints(tiny_recipe: Path) -> None:
    told = json.dumps([task.settings for task in plan(load_recipe(tiny_recipe, ["baselines.dpo={}"]))], default=list)
    assert not any(word in told for word in ('"guard"', '"keep"', '"anchor": 0.0, "beta"'))
    one, other = (
        fingerprints(plan(load_recipe(tiny_recipe, settings)), 1) for settings in ([], ["distill.guard={every: 2}"])
    )
    assert {name for name in one if one[name] != other[name]} >= {"distill/plad", "distill/sft"}
    assert one["pair"] == other["pair"]


def test_what_makes_no_sense_is_refused(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"distill\.keep: the best is of the steps that a guard looks at"):
        load_recipe(tiny_recipe, ["distill.keep=best"])
    with pytest.raises(PladError, match=r"distill\.guard: its action raises the anchor .* type nll has none"):
        load_recipe(tiny_recipe, ["distill.guard={action: anchor}", "distill.method.type=seqkd"])
    load_recipe(tiny_recipe, ["distill.guard={action: anchor}", "distill.method.type=dpo"])
