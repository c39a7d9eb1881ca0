"""An estimate without data, models or a network: of a recipe for 70 billion weights and a million prompts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_run import write_recipe

from plad.cli import main
from plad.config import load_recipe
from plad.errors import PladError
from plad.estimate import Assumed, Line, estimate
from plad.estimate.counting import read_assumptions
from plad.speed import Speed, gpu_speed

RECIPE = Path(__file__).parents[2] / "recipes" / "70b-to-8b.yaml"
SIZES = ["teacher=70.6e9", "student=8.03e9", "prompts=1000000", "prompt_tokens=300", "answer_tokens=250"]
LOCAL = [
    "teacher.model={type: pretrained, path: meta-llama/Llama-3.3-70B-Instruct, dtype: bfloat16}",
    "sample.backend.gpus=4",
    "sample.backend.engine.tensor_parallel=4",
]


def lines(gpus: int, workers: int, *overrides: str) -> dict[str, Line]:
    recipe = load_recipe(RECIPE, [*overrides, f"sample.backend.workers={workers}"])
    found = estimate(recipe, gpu_speed("h100", gpus), assumed=read_assumptions(SIZES))
    return {line.task: line for line in found}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a hub was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", refuse)


def test_an_api_teacher_by_hand() -> None:
    found = lines(8, 8)
    bought, trained = found["sample/teacher"], found["distill/plad"]
    assert bought.prompts == bought.requests == 995_000
    assert bought.money == pytest.approx(995_000 * (300 * 0.13 + 250 * 0.40) / 1e6)
    assert bought.money_at_most == pytest.approx(995_000 * (300 * 0.13 + 512 * 0.40) / 1e6)
    assert (bought.hours, bought.bound) == (995_000 / 1500 / 60, "the server's limits")
    assert bought.gpu_hours == 0
    # A prompt and both its answers, 4 FLOPs a weight under LoRA, at 30 % of eight times 989 TFLOP/s.
    assert trained.flops == pytest.approx(995_000 * 800 * 4 * 8.03e9)
    assert trained.hours == pytest.approx(trained.flops / (0.3 * 8 * 989e12) / 3600)
    assert trained.gpu_hours == pytest.approx(8 * trained.hours)


def test_more_gpus_make_everything_faster_but_the_api() -> None:
    few, many = lines(8, 8), lines(64, 64)
    assert many["sample/teacher"].hours == few["sample/teacher"].hours
    for task in ("sample/student", "distill/plad"):
        assert many[task].hours == pytest.approx((few[task].hours or 0) / 8)
        assert many[task].gpu_hours == pytest.approx(few[task].gpu_hours)


def test_a_teacher_of_ones_own_is_the_slowest_part() -> None:
    found = lines(8, 2, *LOCAL)
    assert max(found.values(), key=lambda line: line.hours or 0).task == "sample/teacher"
    assert found["sample/teacher"].flops == pytest.approx(2 * 70.6e9 * 995_000 * 550)
    assert found["sample/teacher"].idle == 0
    assert lines(8, 1, *LOCAL)["sample/teacher"].idle == 4, "one copy is on four of eight"
    with pytest.raises(PladError, match="141 GB of weights have none on 1 of these GPUs"):
        lines(8, 8, LOCAL[0])


def test_the_command_says_what_is_in_the_way_and_what_it_comes_to() -> None:
    options = [part for size in (*SIZES, "gpu_hour=2.5") for part in ("--assume", size)]
    told = CliRunner().invoke(main, ["estimate", str(RECIPE), "--gpu", "h100", "--gpus", "8", *options])
    assert told.exit_code == 0, told.output
    assert re.search(
        r"^Slowest: sample/teacher, \d\d % of the time, most of it the server's limits\.$", told.output, re.M
    )
    rows = {row.split()[0]: row.split() for row in told.output.splitlines() if row.startswith(("sample", "distill"))}
    assert rows["sample/teacher"][-1] == "–", "no GPU is rented for it"
    hours, rent = (float(cell) for cell in rows["distill/plad"][-2:])
    assert rent == pytest.approx(2.5 * hours, rel=0.01)
    total = re.search(r"^In all ([\d.]+): ([\d.]+) for GPUs, ([\d.]+) for servers\.$", told.output, re.M)
    assert total
    assert float(total[1]) == pytest.approx(float(total[2]) + float(total[3]), abs=0.02)
    told = CliRunner().invoke(main, ["estimate", str(RECIPE), "--gpus", "8", *options])
    assert "--gpus 8 says how many, and not of which" in told.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["promts=5"], r"--assume knows no 'promts'\. Did you mean 'prompts'"),
        (["student=-1"], r"--assume student: .*greater than 0"),
        (["prompts=1000"], "prompts that are not read must have a length; assume prompt_tokens and answer_tokens too"),
    ],
)
def test_a_mistake_in_what_is_assumed(given: list[str], message: str) -> None:
    with pytest.raises(PladError, match=message):
        read_assumptions(given)


def test_a_model_from_scratch_has_no_size_without_data(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path))
    given = Assumed(prompts=1000, prompt_tokens=10, answer_tokens=5)
    with pytest.raises(PladError, match=r"its prompts are assumed\. Assume its weights too: --assume teacher=1e9"):
        estimate(recipe, Speed(1e9, 1e9), assumed=given)
