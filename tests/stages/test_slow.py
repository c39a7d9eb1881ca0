"""Which settings ask a processor for what it lacks."""

from __future__ import annotations

import pytest
from tiny_run import RECIPE, write_recipe

from plad.config import Recipe, load_recipe
from plad.stages import slow

BOTH = ["distill.precision=bf16", "sample.backend={type: hf, dtype: bfloat16}"]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "device", lambda: "cpu")
    monkeypatch.setattr(slow, "computes_bf16", lambda device: False)


def recipe(tmp_path_factory: pytest.TempPathFactory, settings: list[str]) -> Recipe:
    return load_recipe(write_recipe(tmp_path_factory.mktemp("recipe"), RECIPE), settings)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (BOTH, "sample.backend.dtype, distill.precision."),
        (["teacher.sft.precision=bf16"], "teacher.sft.precision."),
        (
            ["evaluate.also=[{type: rouge}, {type: embedding, model: somewhere, bf16: true}]"],
            "evaluate.also[1].bf16.",
        ),
        (
            [*BOTH, "teacher.sft.precision=bf16", "student.sft.precision=bf16"],
            "teacher.sft.precision, student.sft.precision, sample.backend.dtype and 1 more.",
        ),
    ],
)
def test_the_places_are_named(settings: list[str], named: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    told = slow.slow_bf16(recipe(tmp_path_factory, settings))
    assert told is not None
    assert f"no arithmetic for it: {named} Write" in told


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["distill.precision=auto"],
        ["sample.backend={type: vllm, dtype: bfloat16}"],
        ["evaluate.judge={type: reward_model, model: somewhere, bf16: true, device: cuda}"],
    ],
)
def test_what_is_computed_elsewhere_or_left_open_is_not_named(
    settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert slow.slow_bf16(recipe(tmp_path_factory, settings)) is None


def test_a_device_that_has_it_is_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr(slow, "computes_bf16", lambda device: True)
    assert slow.slow_bf16(recipe(tmp_path_factory, BOTH)) is None
