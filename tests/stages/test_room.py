"""Bytes by hand: a teacher and a student of known sizes, and what each way out of too little memory makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_run import RECIPE, write_recipe
from transformers import LlamaConfig, LlamaForCausalLM

from plad.config import Recipe, changed, load_recipe
from plad.errors import PladError
from plad.models import ScratchModel
from plad.stages.room import check_memory


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, int, int]:
    """A recipe of two saved models, and how many weights they have."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = ScratchModel(vocabulary=300).tokenizer(["a few words"])
    counts = []
    for name, width in (("teacher", 32), ("student", 16)):
        shape = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 2}
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        counts.append(sum(p.numel() for p in model.parameters()))
    both = [f"{name}.model={{type: pretrained, path: {folder / name}}}" for name in ("teacher", "student")]
    return load_recipe(write_recipe(folder, RECIPE), [*both, "baselines={kd: {}}"]), counts[0], counts[1]


@pytest.mark.parametrize(
    ("settings", "teachers", "students"),
    [
        (["distill.lora=null"], 4, 4 * 4),  # its weights, their gradient, and two moments
        (["distill.lora={}"], 4, 4),
        (["distill.lora={}", "teacher.model.dtype=bfloat16"], 2, 4),
    ],
    ids=["whole", "adapter", "bf16"],
)
def test_weights_gradients_and_moments(
    settings: list[str], teachers: int, students: int, sizes: tuple[Recipe, int, int]
) -> None:
    recipe, teacher, student = sizes
    need = teachers * teacher + students * student
    check_memory(changed(recipe, settings), have=need)
    with pytest.raises(PladError, match=r"room together.*distill.teacher_logits: \{top_k: 64\} keeps on disk"):
        check_memory(changed(recipe, settings), have=need - 1)


def test_a_teacher_whose_words_are_kept_needs_no_room_beside_the_student(sizes: tuple[Recipe, int, int]) -> None:
    recipe, teacher, student = sizes
    apart = changed(recipe, ["distill.lora=null", "distill.teacher_logits={}"])
    need = max(4 * teacher, 16 * student)
    check_memory(apart, have=need)
    with pytest.raises(PladError, match=r"one after the other.*distill.lora: \{\} trains an adapter"):
        check_memory(apart, have=need - 1)


def test_models_from_scratch_are_small(tmp_path: Path) -> None:
    check_memory(load_recipe(write_recipe(tmp_path)), have=0)
