"""A teacher that is asked in another way than the student: `teacher.prompt`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import Recorder

from plad.answers import Answering
from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.planning import fingerprints, plan
from plad.records import Prompt
from plad.runs import Run
from plad.stages import Context
from plad.stages.models import load_for_answers

SHOWN = "{prompt: a green lamp, response: green lamp}"
ASKED = f"teacher.prompt={{template: 'Name it: {{prompt}} ', examples: [{SHOWN}], max_prompt_tokens: 64}}"


def test_the_teacher_sees_the_examples_and_the_student_does_not(finished_run: Path, tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe, [ASKED])
    context = Context(Run(finished_run), recipe, Recorder(), finished_run)
    for name, expected in (
        ("teacher", "Name it: a green lamp green lamp\n\nName it: red box "),
        ("student", "red box"),
    ):
        _, tokenizer, formatter = load_for_answers(context, name)
        assert tokenizer.decode(formatter.prompt_ids("red box"), skip_special_tokens=True) == expected
        asked = Answering(context.run, recipe, name, recipe.sample, "float32")
        assert asked.cached.generator.rendered(Prompt("1", "red box")) == formatter.rendered("red box")
        asked.store.close()


def test_it_is_fine_tuned_behind_its_own_prompt(tiny_recipe: Path) -> None:
    def marks(*overrides: str) -> dict[str, str]:
        recipe = load_recipe(tiny_recipe, overrides)
        return fingerprints(plan(recipe), recipe.seed)

    own, other = marks(ASKED), marks(ASKED.replace("Name it", "Name this"))
    assert own["sft/teacher"] != other["sft/teacher"]
    settings = {task.name: task.settings for task in plan(load_recipe(tiny_recipe, [ASKED]))}
    assert settings["sft/teacher"]["prompt"]["template"] == "Name it: {prompt} "
    assert settings["sft/student"]["prompt"]["template"] == "{prompt}"


def test_nothing_said_is_nothing_new(tiny_recipe: Path) -> None:
    """Runs of before the setting was there stay done."""
    settings = [json.dumps(task.settings, default=list) for task in plan(load_recipe(tiny_recipe))]
    assert not [text for text in settings if "teacher_prompt" in text or "examples" in text]


def test_its_own_limit_is_held_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    """The tiny prompts are of some ten tokens; the student has room for 64."""
    refused = load_recipe(tiny_recipe, ["teacher.prompt={max_prompt_tokens: 3}"])
    with pytest.raises(PladError, match="a prompt may have 3 tokens"):
        run(refused, tmp_path / "refused", Recorder(), only="prepare")
    dropped = load_recipe(tiny_recipe, ["teacher.prompt={max_prompt_tokens: 3, too_long: drop}"])
    with pytest.raises(PladError, match="all prompts of the train split are over"):
        run(dropped, tmp_path / "dropped", Recorder(), only="prepare")


def test_a_method_that_looks_inside_wants_one_prompt(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"teacher\.prompt: distributions are compared .* but method kd looks inside"):
        load_recipe(tiny_recipe, [ASKED, "baselines.kd={}"])
