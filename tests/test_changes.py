"""What an edit of a recipe makes again, and nothing else; and folders that another version wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_run import REPORTS, TASKS, Recorder, differing, finished, outputs, times

from plad.config import Recipe, changed, load_recipe
from plad.data import Table
from plad.errors import PladError
from plad.models import PretrainedModel
from plad.pipeline import run
from plad.planning import FORMAT, STAGES, fingerprints, plan
from plad.records import Prompt
from plad.stages import SPLITS, Context

Copy = Callable[[], Path]

AFTER_TRAINING = {"evaluate/also-length", "evaluate/results", "report"}
STUDENTS = {"distill/sft", "distill/seqkd", "distill/plad", "evaluate/sft", "evaluate/seqkd", "evaluate/plad"}
STUDENTS |= AFTER_TRAINING | {"evaluate/calibration"}
TEACHER = {"sft/teacher", "sample/teacher", "pair", "evaluate/teacher"} | STUDENTS
STUDENT = {"sft/student", "sample/student", "pair", "evaluate/judge", "evaluate/teacher", "evaluate/student"} | STUDENTS
JUDGED = {"evaluate/judge", *(task for task in TASKS if task.startswith("evaluate/"))} | {"report"}
EDITS = {
    "seed=2": set(TASKS),
    "name=another": set(),
    "task.splits.near_duplicates=0.9": set(TASKS) - {"prepare/check"},
    "task.splits.max_train=20": set(TASKS) - {"prepare/check"},
    "task.splits.max_validation=5": set(TASKS) - {"prepare/check"},
    "task.splits.max_distill=9": {"prepare", "sample/teacher", "sample/student", "pair"} | STUDENTS,
    "task.splits.max_test=7": {"prepare"} | JUDGED - {"evaluate/judge"},
    "prompt.max_prompt_tokens=65": set(TASKS),
    "teacher.sft.learning_rate=0.02": TEACHER,
    "teacher.model.layers=2": {"prepare/check", "prepare"} | TEACHER,
    "student.model.layers=2": {"prepare/check", "prepare"} | STUDENT,
    "teacher.samples=2": {"sample/teacher", "pair"} | STUDENTS,
    "student.sft.max_steps=21": STUDENT,
    "sample.temperature=0.5": set(TASKS) - {"prepare", "sft/teacher", "sft/student"},
    "pairs.hygiene.min_words=2": {"pair"} | STUDENTS,
    "distill.learning_rate=0.001": STUDENTS,
    "distill.loss.margin=0.5": {"distill/plad", "evaluate/plad", "evaluate/calibration"} | AFTER_TRAINING,
    "baselines.seqkd.learning_rate=0.001": {"distill/seqkd", "evaluate/seqkd"} | AFTER_TRAINING,
    "evaluate.judge={type: length}": {"prepare/check"} | JUDGED,
    "evaluate.also=[]": {"prepare/check", "evaluate/results", "report"},
    "evaluate.calibration.samples=3": {"evaluate/calibration", "report"},
    "evaluate.split=validation": JUDGED - {"evaluate/judge"},
    "launch.devices=2": set(),
}

FOLLOW = {
    "prepare": set(TASKS) - {"prepare/check"},
    "sft": TEACHER | STUDENT,
    "sample": {"pair"} | STUDENTS,
    "pair": STUDENTS,
    "distill": STUDENTS,
    "evaluate": {"report"},
    "report": set(),
}


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Path) -> Recipe:
    return load_recipe(tiny_recipe)


def due(before: Recipe, after: Recipe) -> set[str]:
    """The tasks of `after` whose fingerprint another recipe's run does not have."""
    old, new = (fingerprints(plan(one), one.seed) for one in (before, after))
    return {name for name, mark in new.items() if old.get(name) != mark}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_again_what_depends_on_it_and_nothing_else(edit: str, recipe: Recipe, tiny_recipe: Path) -> None:
    assert due(recipe, load_recipe(tiny_recipe, [edit])) == EDITS[edit]


@pytest.mark.parametrize("which", ["prompt", "teacher.prompt"])
def test_where_long_prompts_are_dropped_the_data_depend_on_both_models(which: str, tiny_recipe: Path) -> None:
    """What one tokenizer finds too long, the other model does not see."""
    drop = f"{which}={{max_prompt_tokens: 64, max_response_tokens: 16, too_long: drop}}"
    before, after = (load_recipe(tiny_recipe, [drop, *more]) for more in ([], ["student.model.layers=2"]))
    assert due(before, after) == set(TASKS)


def test_how_rows_come_makes_nothing_again(recipe: Recipe) -> None:
    before, after = (
        recipe.model_copy(update={"task": recipe.task.model_copy(update={"source": Table(hub="a/b", streaming=on)})})
        for on in (False, True)
    )
    assert due(before, after) == set()


@pytest.mark.parametrize(
    "held",
    [{"keep_layers": (0, 3)}, {"dtype": "bfloat16"}, {"attention": "eager"}, {"quantise": "4bit"}],
    ids=lambda held: str(*held),
)
def test_how_a_students_weights_are_held_leaves_the_teacher_and_the_data_as_they_are(
    held: dict[str, Any], recipe: Recipe
) -> None:
    """Though long prompts are dropped: its tokenizer is the same."""
    model: dict[str, Any] = {"path": "a/b", "keep_layers": 2}
    roles: dict[str, dict[str, Any]] = {"teacher": {"path": "a/b"}, "student": model}
    before, after = (
        recipe.model_copy(
            update={
                name: getattr(recipe, name).model_copy(update={"model": PretrainedModel(**role)})
                for name, role in (roles | edit).items()
            }
            | {"prompt": recipe.prompt.model_copy(update={"too_long": "drop"})}
        )
        for edit in ({}, {"student": model | held})
    )
    assert due(before, after) == {"prepare/check"} | STUDENT


def test_more_test_prompts_train_nothing_anew(copy_of_run: Copy, tiny_recipe: Path, tmp_path: Path) -> None:
    """The folder comes to be the one of a run that had the setting from the beginning."""
    folder, cap = copy_of_run(), "task.splits.max_test=7"
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", [cap]), folder, display)
    assert set(display.worked) == EDITS[cap]
    assert "  prepare runs again: task.splits.max_test: None → 7" in display.lines
    fresh = run(load_recipe(tiny_recipe, [cap]), tmp_path / "fresh", Recorder()).folder
    assert differing(folder, fresh) <= REPORTS


def test_stopped_while_it_reads_again_it_still_trains_nothing_anew(copy_of_run: Copy) -> None:
    folder, cap = copy_of_run(), "task.splits.max_test=7"
    with pytest.raises(BegunError):
        run(load_recipe(folder / "recipe.yaml", [cap]), folder, Planning())
    assert "prepare" not in finished(folder)
    assert set(planned(folder).todo) == EDITS[cap]


@pytest.mark.slow
def test_a_task_depends_on_the_cap_of_each_split_that_it_reads(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by what stages do in a run of rounds, with a guard."""
    display, read, prompts = Recorder(), set[tuple[str, str]](), Context.prompts

    def noting(context: Context, name: str) -> Sequence[Prompt]:
        [*_, (_, doing)] = (event for event in display.events if event[0] == "task")
        read.add((doing["name"], name))
        return prompts(context, name)

    monkeypatch.setattr(Context, "prompts", noting)
    recipe = load_recipe(tiny_recipe, ["distill.rounds=2", "distill.guard={every: 2}"])
    run(recipe, tmp_path / "run", display)
    assert {split for _, split in read} == set(SPLITS)
    assert len({task for task, _ in read}) > 15
    capped = {name: changed(recipe, [f"task.splits.max_{name}=5"]) for name in SPLITS}
    assert {(task, split) for task, split in read if task not in due(recipe, capped[split])} == set()


@pytest.mark.slow
def test_a_source_that_gives_other_rows_makes_all_again(copy_of_run: Copy, tiny_recipe: Path, tmp_path: Path) -> None:
    """Though no setting tells: as of the next version of a package, so of a file of the same name, size and time."""
    folder, data = copy_of_run(), tmp_path / "data.jsonl"
    source = Path(load_recipe(tiny_recipe).task.source.path)
    at = source.stat()

    def put(text: str) -> None:
        data.write_text(text)
        os.utime(data, ns=(at.st_atime_ns, at.st_mtime_ns))

    put(source.read_text())
    moved = f"task.source.path={data}"
    run(load_recipe(folder / "recipe.yaml", [moved]), folder, Recorder())
    put(source.read_text().replace("red box in", "tin box in"))
    untold = Recorder()
    run(load_recipe(folder / "recipe.yaml"), folder, untold)
    assert untold.worked == [], "nobody looks into a source whose task is done"
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", ["task.splits.max_test=7"]), folder, display)
    assert display.worked == ["prepare", *(name for name in TASKS if name not in ("prepare", "prepare/check"))]
    assert "  sft/teacher runs again: it is made of other rows than the task's source gives now" in display.lines
    fresh = run(load_recipe(folder / "recipe.yaml"), tmp_path / "fresh", Recorder()).folder
    assert differing(folder, fresh) <= REPORTS


def test_every_section_of_a_recipe_is_edited_above() -> None:
    assert {edit.split("=")[0].split(".")[0] for edit in EDITS} == set(Recipe.model_fields)


class BegunError(Exception):
    """Raised where the first task would begin."""


class Planning(Recorder):
    """Lets a run plan, and no more."""

    def event(self, kind: str, **fields: object) -> None:
        super().event(kind, **fields)
        if kind == "task":
            raise BegunError

    @property
    def todo(self) -> list[str]:
        [plan] = [fields["todo"] for kind, fields in self.events if kind == "plan"]
        return list(plan)


def planned(folder: Path, *overrides: str, force: Sequence[str] = ()) -> Planning:
    display = Planning()
    with pytest.raises(BegunError):
        run(load_recipe(folder / "recipe.yaml", overrides), folder, display, force=force)
    return display


def test_what_runs_again_is_told_before_anything_is_done(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before, written = outputs(folder), times(folder)
    display = planned(folder, "distill.loss.margin=0.5")
    follow = "evaluate/plad, evaluate/also-length, evaluate/results, evaluate/calibration, report"
    assert display.lines == [
        f"{folder}: 14 of 20 tasks are done; continuing with distill/plad.",
        "  distill/plad runs again: distill.loss.margin: 1.0 → 0.5",
        f"  and what follows: {follow}",
    ]
    assert {name for name, time in times(folder).items() if written[name] != time} <= {"recipe.yaml", "manifest.json"}
    assert {name for name in before if outputs(folder)[name] != before[name]} == {"recipe.yaml"}


def test_a_new_seed_is_told(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    display = planned(folder, "seed=2")
    assert display.lines[0] == f"{folder} was made with seed 1, and every task depends on it; the seed is now 2."
    assert display.todo == TASKS


@pytest.mark.parametrize("stage", STAGES)
def test_force_makes_a_stage_and_what_follows_due(stage: str, copy_of_run: Copy) -> None:
    folder = copy_of_run()
    display = planned(folder, force=[stage])
    forced = [task for task in TASKS if task.split("/")[0] == stage]
    assert set(display.todo) == set(forced) | FOLLOW[stage]
    assert [line for line in display.lines if "forced" in line] == [f"  {t} runs again: it is forced" for t in forced]


def rewrite(folder: Path, **changes: object) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))


def test_a_folder_of_a_newer_format_is_refused_and_left_alone(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    rewrite(folder, format=FORMAT + 1, plad="9.9")
    before = outputs(folder)
    with pytest.raises(PladError, match=rf"is of format {FORMAT + 1}, written by plad 9\.9\. Install that version or"):
        run(load_recipe(folder / "recipe.yaml"), folder, Recorder())
    assert outputs(folder) == before


def test_a_format_that_is_none_is_damage(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    rewrite(folder, format="two")
    with pytest.raises(PladError, match=r"manifest\.json is damaged \(its format is 'two'\)"):
        run(load_recipe(folder / "recipe.yaml"), folder, Recorder())


def test_an_older_folder_opens_and_says_what_becomes_of_it(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    tasks = json.loads((folder / "manifest.json").read_text())["tasks"]
    old = {name: task | {"fingerprint": "of another format"} for name, task in tasks.items()}
    rewrite(folder, format=FORMAT - 1, plad="0.0.9", tasks=old)
    display = planned(folder)
    assert display.todo == TASKS
    assert display.lines[0] == (
        f"{folder} is of format {FORMAT - 1}, written by plad 0.0.9; this plad writes format {FORMAT}. "
        "Every stage runs again; files stay until they are replaced, and stored answers are used again."
    )


def test_a_folder_from_before_formats_and_sizes_were_written_is_done(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.pop("format") == FORMAT
    for task in manifest["tasks"].values():
        task.pop("sizes")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml"), folder, display)
    assert display.worked == []
