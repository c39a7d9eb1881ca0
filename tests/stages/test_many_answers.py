"""Several answers a prompt through the pipeline: which of the teacher's is preferred, and which is rejected."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tiny_run import Recorder, finished

from plad.config import load_recipe
from plad.errors import PladError
from plad.models.load import load_folder
from plad.pipeline import run
from plad.planning import fingerprints, plan
from plad.records import Generation, PreferencePair, Prompt, read_jsonl
from plad.training.layout import Example
from plad.training.score import response_logps

SEVERAL = ("sample.samples=4", "teacher.samples=2")


@pytest.fixture
def paired(copy_of_run: Callable[[], Path]) -> Callable[..., list[PreferencePair]]:
    """Pairs a copy of the run anew, and gives them."""
    folder = copy_of_run()

    def make(*overrides: str) -> list[PreferencePair]:
        recipe = load_recipe(folder / "recipe.yaml", [*SEVERAL, *overrides])
        for stage in ("prepare", "sample", "pair"):
            run(recipe, folder, Recorder(), only=stage)
        make.folder = folder  # type: ignore[attr-defined]
        return list(read_jsonl(folder / "pairs.jsonl", PreferencePair))

    return make


def answers(folder: Path, name: str) -> Mapping[str, list[Generation]]:
    found: dict[str, list[Generation]] = {}
    for generation in read_jsonl(folder / "generations" / f"{name}.jsonl", Generation):
        found.setdefault(generation.id, []).append(generation)
    return found


def test_teacher_and_student_give_as_many_answers_as_the_recipe_says_of_each(paired: Callable) -> None:
    pairs = paired("pairs.negatives=all")
    teacher, student = (answers(paired.folder, name) for name in ("teacher", "student"))  # type: ignore[attr-defined]
    assert {len(some) for some in teacher.values()} == {2}
    assert {len(some) for some in student.values()} == {4}
    expected = []
    for name, some in student.items():
        good = teacher[name][0]
        texts = dict.fromkeys(" ".join(a.response.split()) for a in some if a.finished and a.response.strip())
        if good.finished and good.response.strip():
            expected += [(name, text) for text in texts if text != " ".join(good.response.split())]
    assert Counter((pair.id, " ".join(pair.rejected.split())) for pair in pairs) == Counter(expected)
    assert len(pairs) > len({pair.id for pair in pairs}), "some prompt has several"


def test_the_hardest_is_the_one_that_the_student_thinks_likeliest(paired: Callable) -> None:
    every = paired("pairs.negatives=all")
    hardest = paired("pairs.negatives=hardest")
    folder = paired.folder  # type: ignore[attr-defined]
    model, tokenizer = load_folder(folder / "models" / "student")
    formatter = load_recipe(folder / "recipe.yaml").prompt.bind(tokenizer, encoder_decoder=False)
    for pair in hardest:
        rejected = [other.rejected for other in every if other.id == pair.id]
        examples = [Example(formatter.prompt_ids(pair.prompt), [formatter.response_ids(y)]) for y in rejected]
        logps = [row[0] for row in response_logps(model, 0, examples)]
        assert pair.rejected == rejected[logps.index(max(logps))]
    assert [pair.id for pair in hardest] == list(dict.fromkeys(pair.id for pair in every))


def test_the_best_of_the_teachers_answers_is_preferred(paired: Callable) -> None:
    pairs = paired("pairs.positives=best", "pairs.scorer={type: length}")
    teacher = answers(paired.folder, "teacher")  # type: ignore[attr-defined]
    for pair in pairs:
        words = [len(a.response.split()) for a in teacher[pair.id] if a.finished and a.response.strip()]
        assert pair.chosen_score == len(pair.chosen.split()) == max(words)


def test_choosing_where_there_is_nothing_to_choose_is_refused(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"pairs\.negatives: hardest is of several answers, but the student gives 1\."):
        load_recipe(tiny_recipe, ["pairs.negatives=hardest"])
    with pytest.raises(PladError, match=r"pairs\.positives: .* but pairs\.scorer is null"):
        load_recipe(tiny_recipe, ["pairs.positives=best", "teacher.samples=4"])
    with pytest.raises(PladError, match=r"pairs\.positives: .* but the teacher gives 1\. Raise teacher\.samples"):
        load_recipe(tiny_recipe, ["pairs.positives=best", "sample.samples=4", "teacher.samples=1"])


def test_settings_that_have_no_say_leave_a_finished_run_as_it_is(tiny_recipe: Path) -> None:
    def marks(*overrides: str) -> Mapping[str, str]:
        return fingerprints(plan(load_recipe(tiny_recipe, overrides)), seed=1)

    plain = marks()
    told = json.dumps([task.settings for task in plan(load_recipe(tiny_recipe))], default=list)
    assert "negatives" not in told
    assert "positives" not in told
    assert marks("teacher.samples=1") == plain
    several = marks("sample.samples=3", "teacher.samples=1")
    alone = ("sft/teacher", "sample/teacher", "evaluate/judge", "evaluate/teacher", "evaluate/student")
    assert [name for name in alone if several[name] != plain[name]] == []
    assert several["sample/student"] != plain["sample/student"]


def test_a_student_learns_from_all_of_its_answers(paired: Callable) -> None:
    pairs = paired("pairs.negatives=all")
    folder = paired.folder  # type: ignore[attr-defined]
    lean = ["baselines={sft: null, seqkd: null}", "distill.max_steps=null", "distill.epochs=1"]
    run(load_recipe(folder / "recipe.yaml", lean), folder, Recorder(), only="distill")
    summary = finished(folder)["distill/plad"]["summary"]
    assert summary["examples"] == len({pair.id for pair in pairs})
    assert summary["steps"] == -(-summary["examples"] // 4), "a batch is of prompts"
    asked = {prompt.id for prompt in read_jsonl(folder / "data" / "distill.jsonl", Prompt)}
    assert {pair.id for pair in pairs} <= asked
