"""PLaD in rounds, on the tiny run: what a round learns from, when they end, and that a teacher is asked once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from servers import Answer, asked_of, completion, stub
from test_pipeline import kill_at
from tiny_run import RECIPE, REPORTS, Recorder, differing, finished, rows, write_recipe, write_rows

from plad.config import Recipe, load_recipe
from plad.errors import PladError
from plad.models.load import weights_digest
from plad.pipeline import run
from plad.planning import plan
from plad.records import EvalRow, Generation, PreferencePair, Prompt, read_jsonl
from plad.report.read import read_run
from plad.report.rounds import rounds_facts, rounds_verdict
from plad.report.rounds_chart import rounds_chart
from plad.runs import Run, write_json
from plad.stages import Context, keep_best
from plad.stages.rounds import replayed

OWN = RECIPE[RECIPE.index("teacher:") : RECIPE.index("student:")]
API = 'teacher: {model: {type: openai, model: big, base_url: "URL"}, sft: null}\n'
LEAN = "baselines: {sft: null, seqkd: null}\n"
TWO = ("distill.rounds=2", "distill.replay=0.5", "evaluate.calibration=null", "evaluate.also=[]")


def answer(body: dict[str, Any]) -> Answer:
    """The reference of every prompt of the tiny task is its first two words."""
    return Answer(completion(" ".join(asked_of(body).split()[:2])))


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A finished run of two rounds under a teacher on a server, and how often that was asked."""
    pytest.importorskip("openai")
    folder = tmp_path_factory.mktemp("rounds")
    with pytest.MonkeyPatch.context() as patch, stub(answer).running() as server:
        patch.setenv("OPENAI_API_KEY", "sk-rounds")
        patch.setenv("PLAD_CACHE", str(folder / "store"))
        recipe = write_recipe(folder, RECIPE.replace(OWN, API.replace("URL", server.url)) + LEAN)
        made = run(load_recipe(recipe, TWO), folder / "run", Recorder())
        return made.folder, len(server.seen)


@pytest.fixture
def copy(two_rounds: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, whose teacher's server is no longer there."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-rounds")
    return Path(shutil.copytree(two_rounds[0], tmp_path / "copy"))


def records(path: Path, kind: Any) -> list[Any]:
    return list(read_jsonl(path, kind))


def again(folder: Path, *overrides: str) -> list[str]:
    run(load_recipe(folder / "recipe.yaml", overrides), folder, display := Recorder())
    return display.worked


def test_the_teacher_is_asked_once_a_prompt_whatever_the_rounds(two_rounds: tuple[Path, int]) -> None:
    folder, asked = two_rounds
    splits = json.loads((folder / "data" / "summary.json").read_text())["splits"]
    assert asked == splits["distill"] + splits["validation"] + splits["test"]


def test_the_second_round_pairs_the_students_new_answers_and_replays_old_pairs(two_rounds: tuple[Path, int]) -> None:
    folder, _ = two_rounds
    first, second = (records(folder / name, PreferencePair) for name in ("pairs.jsonl", "rounds/2/pairs.jsonl"))
    answers = {row.id: row.response for row in records(folder / "rounds" / "2" / "student.jsonl", Generation)}
    teacher = {row.id: row.response for row in records(folder / "generations" / "teacher.jsonl", Generation)}
    old = round(0.5 * len(first))
    new = second[: len(second) - old]
    assert new
    assert [(p.chosen, p.rejected) for p in new] == [(teacher[p.id], answers[p.id]) for p in new]
    assert all(pair in first for pair in second[len(new) :])
    assert len(set(second)) == len(second)


def test_the_second_student_goes_on_from_the_first(two_rounds: tuple[Path, int]) -> None:
    models = two_rounds[0] / "models"
    adapter = json.loads((models / "plad@2" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "../plad@1"
    assert weights_digest(models / "plad@1") != weights_digest(models / "plad@2")


def test_the_check_counts_wins_on_the_validation_split(two_rounds: tuple[Path, int]) -> None:
    folder, _ = two_rounds
    found = json.loads((folder / "rounds.json").read_text())
    assert [row["round"] for row in found["rounds"]] == [0, 1, 2]
    held_out = records(folder / "data" / "validation.jsonl", Prompt)
    for row, name in zip(found["rounds"], ("student", "plad@1", "plad@2"), strict=True):
        rated = records(folder / "rounds" / str(row["round"]) / "check" / f"{name}.jsonl", EvalRow)
        assert [one.id for one in rated] == [prompt.id for prompt in held_out]
        # The teacher repeats the references, so it wins where the student has less than all of ROUGE-L.
        short = sum(one.rougeL < 1 for one in rated)
        assert row["teacher_win_rate"]["value"] == pytest.approx((short + (len(rated) - short) / 2) / len(rated))
        assert row["win_rate"]["value"] == pytest.approx((len(rated) - short) / 2 / len(rated))
    kept = folder / "models" / f"plad@{found['kept']}" / "adapter_model.safetensors"
    assert (folder / "models" / "plad" / "adapter_model.safetensors").read_bytes() == kept.read_bytes()


def test_the_first_round_is_the_run_without_rounds(copy: Path) -> None:
    worked = again(copy, "distill.rounds=1")
    assert worked == ["distill/plad", "evaluate/plad", "evaluate/results", "report"]
    one, other = ((copy / "models" / name / "adapter_model.safetensors").read_bytes() for name in ("plad", "plad@1"))
    assert one == other
    assert read_run(copy).rounds is None, "what rounds left behind is not this run's"


def test_a_third_round_runs_alone_and_asks_no_teacher(copy: Path) -> None:
    assert again(copy) == []
    third = ["distill/plad@3/pairs", "distill/plad@3", "distill/plad@3/check", "distill/plad"]
    assert again(copy, "distill.rounds=3")[:4] == third


def test_a_budget_is_for_all_rounds_and_the_answers_to_each(copy: Path) -> None:
    def spent(number: int) -> dict[str, Any]:
        return finished(copy)[f"distill/plad@{number}"]["summary"]

    budget = 2 * spent(1)["flops"]
    again(copy, "distill.max_steps=null", f"distill.max_flops={budget}")
    assert abs(spent(1)["steps"] - spent(2)["steps"]) <= 1, "their pairs differ in length"
    # The teacher's weights are elsewhere, so that a round costs what the student's answers and its training do.
    assert spent(1)["flops"] + spent(2)["flops"] <= budget
    assert finished(copy)["distill/plad"]["summary"]["flops"] == spent(1)["flops"] + spent(2)["flops"]


def test_the_report_tells_of_the_rounds(two_rounds: tuple[Path, int]) -> None:
    read = read_run(two_rounds[0])
    assert [fact.name for fact in rounds_facts(read)] == ["Initial student", "Round 1", "Round 2"]
    assert "The rounds ended after 2 of them" in rounds_verdict(read)
    chart = rounds_chart(read)
    assert chart is not None
    assert len(chart.body) == 6, "two lines of three points"
    assert 'id="rounds"' in (two_rounds[0] / "report.html").read_text()
    assert "## Rounds" in (two_rounds[0] / "report.md").read_text()
    assert read.label("plad@2") == "PLaD, round 2"


def test_a_teacher_that_does_not_win_ends_the_rounds(tiny_recipe: Path, tmp_path: Path) -> None:
    lean = ["baselines={sft: null, seqkd: null}", "evaluate.calibration=null", "distill.rounds=3"]
    # After so little training neither of the two ever gives a word of the reference: all are ties.
    recipe = load_recipe(tiny_recipe, lean)
    folder = run(recipe, tmp_path / "run", display := Recorder()).folder
    rounds = json.loads((folder / "rounds.json").read_text())
    last = rounds["rounds"][-1]
    assert last["round"] == 1
    assert "does not exclude that they are equal" in last["why"]
    assert finished(folder)["distill/plad@3"]["summary"] == {"skipped": True}
    assert weights_digest(folder / "models" / "plad@3") == weights_digest(folder / "models" / "plad@1")
    assert again(folder) == [], "what found nothing to do is done"
    assert any("no other follows" in line for line in display.lines)


def test_of_the_best_rounds_the_last_is_kept(tiny_recipe: Path, tmp_path: Path) -> None:
    made = Run(tmp_path / "run")
    recipe = load_recipe(tiny_recipe, ["distill.rounds=4"])
    rates = {0: 0.9, 1: 0.3, 2: 0.4, 3: 0.4, 4: 0.2}
    for number, value in rates.items():
        check = {"round": number, "win_rate": {"value": value}, "go_on": True}
        write_json(made.path("rounds", str(number), "check", "check.json"), check)
        if number:
            spent = {"steps": number, "tokens": 10 * number, "flops": 2.0, "generated": 100, "memory": number}
            made.record(f"distill/plad@{number}", summary=spent | {"parameters": 7})
            made.record(f"distill/plad@{number}/pairs", summary={"tokens": 3})
            write_json(made.path("models", f"plad@{number}", "config.json"), {"round": number})
    summary = keep_best(Context(made, recipe, Recorder(), made.workspace("keep", "0" * 12)), "plad")
    # The first round's answers, and those of three that the student gave anew.
    assert summary.pop("generated") == 100 + 3 * 3
    spent = {"steps": 10, "tokens": 100, "flops": 8.0, "memory": 4, "parameters": 7}
    assert summary == {"kept": 3, "rounds": 4, **spent}
    assert json.loads(made.path("models", "plad", "config.json").read_text()) == {"round": 3}


def test_replay_is_nested_and_keeps_the_order() -> None:
    pairs = [PreferencePair(str(n), "q", "good", f"bad {n}") for n in range(20)]
    quarter, half = (replayed(pairs, share, seed=1) for share in (0.25, 0.5))
    assert (len(quarter), len(half), replayed(pairs, 1.0, 1)) == (5, 10, pairs)
    assert set(quarter) < set(half)
    assert half == sorted(half, key=pairs.index)
    assert replayed(pairs, 0.5, seed=2) != half


def test_a_method_without_pairs_has_no_rounds(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"distill\.rounds: a round makes new pairs, but a method of type sft learns"):
        load_recipe(tiny_recipe, ["distill.rounds=2", "distill.method={type: sft}"])


def test_a_run_of_one_round_keeps_its_plan(tiny_recipe: Path) -> None:
    def settings(recipe: Recipe) -> str:
        return json.dumps([[task.name, task.settings] for task in plan(recipe)], default=list)

    told = settings(load_recipe(tiny_recipe))
    assert '"rounds"' not in told
    assert '"replay"' not in told
    assert settings(load_recipe(tiny_recipe, ["distill.replay=0.5"])) == told


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_in_the_second_round_it_ends_with_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = [{"prompt": row["prompt"], "response": row["reference"]} for row in rows()]
    file = write_rows(tmp_path / "recorded.jsonl", recorded)
    text = RECIPE.replace(OWN, f"teacher: {{model: {{type: recorded, path: {file}}}, sft: null}}\n") + LEAN
    text = text.replace("max_steps: 4,", "max_steps: 4, checkpoint_every: 2, rounds: 2, replay: 0.5,")
    recipe = write_recipe(tmp_path, text.replace("{judge:", "{calibration: null, judge:"))
    kill_at(recipe, tmp_path / "run", "sampling sample plad@1", 5)
    kill_at(recipe, tmp_path / "run", "training plad@2", 3)
    assert list(finished(tmp_path / "run"))[-1] == "distill/plad@2/pairs"
    run(load_recipe(recipe), tmp_path / "run", display := Recorder())
    assert display.worked[0] == "distill/plad@2"
    monkeypatch.setenv("PLAD_CACHE", str(tmp_path / "empty"))
    run(load_recipe(recipe), tmp_path / "other", Recorder())
    assert differing(tmp_path / "run", tmp_path / "other") <= REPORTS
