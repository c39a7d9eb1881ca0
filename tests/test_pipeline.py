from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_run import REPORTS, TASKS, Recorder, different, differing, finished, outputs, times

from plad.config import load_recipe
from plad.errors import PladError
from plad.generation import Store
from plad.pipeline import run
from plad.status import status

Copy = Callable[[], Path]
TRAINING = {name for name in TASKS if name.startswith(("sft/", "sample/", "pair", "distill/"))}


def again(folder: Path, *overrides: str, only: str | None = None, force: Sequence[str] = ()) -> Recorder:
    """Run a folder's own recipe with some settings changed."""
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", overrides), folder, display, only=only, force=force)
    return display


def changed(before: dict[str, str], folder: Path) -> set[str]:
    """The files that were written, changed or removed."""
    return different(before, outputs(folder))


def test_all_stages_leave_their_files(finished_run: Path) -> None:
    assert list(finished(finished_run)) == TASKS
    students = ("sft", "seqkd", "plad")
    wanted = [f"models/{name}/tokenizer.json" for name in ("teacher", "student", *students)]
    wanted += [f"models/{name}/adapter_model.safetensors" for name in students]
    wanted += [f"evaluation/{name}.jsonl" for name in ("teacher", "student", *students)]
    wanted += ["pairs.jsonl", "generations/teacher.jsonl", "evaluation/results.json", "report.html", "report.md"]
    assert [name for name in wanted if not (finished_run / name).is_file()] == []
    assert [*(finished_run / ".work").iterdir()] == []


def test_running_again_writes_nothing(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before, written = outputs(folder), times(folder)
    display = again(folder)
    assert display.worked == []
    assert display.lines == [f"{folder}: all {len(TASKS)} tasks are done."]
    assert outputs(folder) == before
    assert times(folder) == written


def test_two_equal_runs_are_equal_to_the_byte(finished_run: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    other = run(load_recipe(tiny_recipe), tmp_path / "elsewhere", Recorder()).folder
    assert differing(finished_run, other) <= REPORTS
    clock = re.compile(r"\| [\d.]+ s \||\| created \|.*")
    one, two = (clock.sub("", (folder / "report.md").read_text()) for folder in (finished_run, other))
    assert one == two


def test_a_new_seed_changes_every_stage(finished_run: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    run(load_recipe(tiny_recipe, ["seed=2"]), tmp_path / "other", Recorder())
    same = outputs(finished_run).items() & outputs(tmp_path / "other").items()
    for name, _ in same:
        assert not name.endswith((".jsonl", ".safetensors", "report.html")), name


def test_a_new_margin_trains_plad_alone(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    display = again(folder, "distill.loss.margin=0.5")
    beside = ["evaluate/also-length", "evaluate/results", "evaluate/calibration"]
    assert display.worked == ["distill/plad", "evaluate/plad", *beside, "report"]
    assert "  distill/plad runs again: distill.loss.margin: 1.0 → 0.5" in display.lines
    touched = changed(before, folder)
    assert "models/plad/adapter_model.safetensors" in touched
    allowed = ("models/plad/", "evaluation/results.json", "evaluation/calibration.json", "report.", "recipe.yaml")
    assert [name for name in touched if not name.startswith(allowed) and not name.endswith("/plad.jsonl")] == []


def test_a_new_judge_leaves_training_alone(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    display = again(folder, "evaluate.judge={type: length}")
    assert TRAINING & set(display.worked) == set()
    assert "  evaluate/judge runs again: judge.type: rouge → length; judge.metric: rougeL → None" in display.lines
    touched = changed(before, folder)
    assert "evaluation/plad.jsonl" in touched
    assert [name for name in touched if name.startswith(("models/", "generations/", "data/", "pairs"))] == []


@pytest.mark.parametrize(
    ("lost", "redone"),
    [
        ("report.md", ["report"]),
        ("evaluation/results.json", ["evaluate/results", "report"]),
        ("evaluation/plad.jsonl", ["evaluate/plad", "evaluate/also-length", "evaluate/results", "report"]),
    ],
)
def test_a_lost_output_is_made_again(copy_of_run: Copy, lost: str, redone: list[str]) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    (folder / lost).unlink()
    assert again(folder).worked == redone
    assert changed(before, folder) <= REPORTS


def test_force_repeats_a_stage_and_what_follows(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before, written = outputs(folder), times(folder)
    assert again(folder, force=["report"]).worked == ["report"]
    assert outputs(folder) == before
    assert times(folder)["report.html"] != written["report.html"]
    assert times(folder)["evaluation/results.json"] == written["evaluation/results.json"]


def test_one_stage_alone(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    (folder / "pairs.jsonl").unlink()
    assert again(folder, only="pair").worked == ["pair"]
    # What follows has not seen the new pairs, so it is due the next time.
    with pytest.raises(PladError, match=r"evaluate needs the stages before it, but distill/sft is not done\."):
        again(folder, only="evaluate")


def test_a_stage_before_its_inputs_is_refused(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"pair needs the stages before it, but prepare/check is not done\. Run `plad"):
        run(load_recipe(tiny_recipe), tmp_path / "new", Recorder(), only="pair")
    assert not (tmp_path / "new" / "manifest.json").exists()


def test_an_unknown_stage_is_refused(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"there is no stage 'distil'\. Did you mean 'distill'\?"):
        run(load_recipe(tiny_recipe), tmp_path / "new", Recorder(), force=["distil"])


def test_edited_data_runs_again(copy_of_run: Copy, tmp_path: Path) -> None:
    folder = copy_of_run()
    data = Path(load_recipe(folder / "recipe.yaml").task.source.path)
    own = tmp_path / "own.jsonl"
    own.write_bytes(data.read_bytes())
    first = again(folder, f"task.source.path={own}", only="prepare")
    assert first.worked == ["prepare"]
    own.write_text(own.read_text().replace("the red box", "a red box"))
    assert again(folder, only="prepare").worked == ["prepare"]
    assert again(folder, only="prepare").worked == []


def test_a_diverged_training_is_an_error_with_a_remedy(tiny_recipe: Path, tmp_path: Path) -> None:
    settings = ["teacher.sft.learning_rate=1e30", "teacher.sft.max_grad_norm=0"]
    with pytest.raises(
        PladError, match=r"^teacher: training needs a finite loss, but at step 4 it is nan: it diverged\. Lower the lea"
    ):
        run(load_recipe(tiny_recipe, settings), tmp_path / "run", Recorder())
    assert list(finished(tmp_path / "run")) == ["prepare/check", "prepare"]


KILLER = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from plad.config import load_recipe
from plad.pipeline import run
from plad.progress import Lines

recipe, folder, label, limit = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

class Killer(Lines):
    @contextmanager
    def bar(self, name, total):
        def advance(done, values, total=None):
            if name == label and done >= limit:
                os.kill(os.getpid(), signal.SIGKILL)
        yield advance

run(load_recipe(Path(recipe)), Path(folder), Killer())
"""


def kill_at(recipe: Path, folder: Path, label: str, limit: int) -> None:
    """Run until a bar has come so far, and end the process without warning."""
    command = [sys.executable, "-c", KILLER, str(recipe), str(folder), label, str(limit)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == -9, ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_in_mid_sample_and_mid_training(
    finished_run: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    every = load_recipe(tiny_recipe).to_yaml().replace("checkpoint_every: 100", "checkpoint_every: 5")
    recipe = tmp_path / "often.yaml"
    recipe.write_text(every)
    kill_at(recipe, folder, "training teacher", 18)
    assert list(finished(folder)) == ["prepare/check", "prepare"]
    assert (status(folder).state, status(folder).doing) == ("killed", "sft/teacher")
    assert {path.name for path in folder.glob(".work/sft-teacher-*/checkpoint-*")} == {"checkpoint-10", "checkpoint-15"}

    kill_at(recipe, folder, "sampling sample teacher", 9)
    assert list(finished(folder))[-1] == "sft/student"
    store = Store()
    kept = sum(entry.generations for entry in store.entries())
    assert kept >= 9

    display = Recorder()
    run(load_recipe(recipe), folder, display)
    assert display.worked == TASKS[4:]
    assert finished(folder)["sample/teacher"]["summary"]["reused"] == kept
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path / "empty"))
    undisturbed = tmp_path / "undisturbed"
    run(load_recipe(recipe), undisturbed, Recorder())
    assert differing(undisturbed, folder) <= REPORTS
    # Checkpoints are for safety alone: how often they are written changes no weight.
    named = {name for name in differing(finished_run, folder) if not name.endswith("history.jsonl")}
    assert named <= {*REPORTS, "recipe.yaml"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_torn_checkpoint_is_passed_over(tiny_recipe: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "often.yaml"
    recipe.write_text(load_recipe(tiny_recipe).to_yaml().replace("checkpoint_every: 100", "checkpoint_every: 5"))
    folder = tmp_path / "run"
    kill_at(recipe, folder, "training teacher", 13)
    [state] = folder.glob(".work/sft-teacher-*/checkpoint-10/trainer_state.json")
    state.write_text(state.read_text()[:40])
    run(load_recipe(recipe), folder, Recorder(), only="sft")
    assert json.loads((folder / "manifest.json").read_text())["tasks"]["sft/teacher"]["summary"]["steps"] == 40
