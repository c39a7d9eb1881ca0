"""What a run says besides the judge's verdict: other scorers, likelihood against quality, and a pairwise judge."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import REPORTS, Recorder, different, outputs

from plad.config import load_recipe
from plad.errors import PladError
from plad.evaluation.statistics import spearman
from plad.models.load import load_folder
from plad.pipeline import run
from plad.records import EvalRow, Prompt, Score, ScoredSample, read_jsonl
from plad.scoring.verdict import Verdict

Copy = Callable[[], Path]
MODELS = ("teacher", "student", "sft", "seqkd", "plad")


def again(folder: Path, *overrides: str) -> Recorder:
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", overrides), folder, display)
    return display


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluation" / "results.json").read_text())


def rows(folder: Path, name: str) -> list[EvalRow]:
    return list(read_jsonl(folder / "evaluation" / f"{name}.jsonl", EvalRow))


def test_what_looked_wrong_in_training_is_said_with_the_results(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tasks"]["distill/plad"]["summary"]["warnings"] = ["the loss jumped at step 3 from about 1 to 9."]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "evaluation" / "results.json").unlink()
    assert again(folder).worked == ["evaluate/results", "report"]
    told = "In the training of PLaD the loss jumped at step 3 from about 1 to 9."
    assert results(folder)["warnings"][-1] == told
    assert told in (folder / "report.md").read_text()
    assert told in (folder / "report.html").read_text()


def test_length_is_scored_beside_the_judge(finished_run: Path) -> None:
    (length,) = results(finished_run)["scorers"]
    assert (length["name"], length["description"]) == ("length", "number of words (a control, not a judge)")
    words = {name: [row.words for row in rows(finished_run, name)] for name in MODELS}
    scores = read_jsonl(finished_run / "evaluation" / "scores" / "length" / "plad.jsonl", Score)
    assert [score.score for score in scores] == words["plad"]
    wins = [(a > b) + 0.5 * (a == b) for a, b in zip(words["plad"], words["student"], strict=True)]
    plad = next(row for row in length["rows"] if row["name"] == "plad")
    assert plad["against_initial"]["value"] == pytest.approx(sum(wins) / len(wins))
    assert -1 <= length["agreement"]["spearman"]["value"] <= 1


def test_nothing_is_scored_twice_and_references_once_a_run(finished_run: Path) -> None:
    answers = {(row.id, row.response) for name in MODELS for row in rows(finished_run, name)}
    samples = (finished_run / "evaluation" / "calibration").glob("*.jsonl")
    answers |= {(row.id, row.response) for file in samples for row in read_jsonl(file, ScoredSample)}
    prompts = list(read_jsonl(finished_run / "data" / "test.jsonl", Prompt))
    judged = answers | {(prompt.id, prompt.reference) for prompt in prompts}
    by_length = {(row.id, row.response) for name in MODELS for row in rows(finished_run, name)}
    by_length |= {(prompt.id, prompt.reference) for prompt in prompts}
    with sqlite3.connect(finished_run / "scores.sqlite") as file:
        assert file.execute("SELECT count(*) FROM said").fetchone() == (len(judged) + len(by_length),)


def test_calibration_by_the_models_own_likelihood(finished_run: Path) -> None:
    told = json.loads((finished_run / "evaluation" / "calibration.json").read_text())
    assert [row["name"] for row in told["rows"]] == ["student", "plad"]
    assert (told["prompts"], told["samples"], told["scorer"]) == (len(rows(finished_run, "plad")), 4, "rouge")
    samples = list(read_jsonl(finished_run / "evaluation" / "calibration" / "student.jsonl", ScoredSample))
    assert [(sample.id, sample.sample) for sample in samples[:5]] == [(samples[0].id, k) for k in range(4)] + [
        (samples[4].id, 0)
    ]
    assert len({sample.response for sample in samples}) > len(samples) / 2
    # The mean over prompts of the rank correlation, by hand.
    ranks = [spearman([s.logp for s in four], [s.score for s in four]) for four in fours(samples)]
    defined = [rank for rank in ranks if rank is not None]
    (student, _) = told["rows"]
    assert student["rank_correlation"]["value"] == pytest.approx(sum(defined) / len(defined))
    assert len(student["curve"]) == 4
    assert told["change"].keys() == {"rank_correlation", "pairwise_accuracy"}


def fours(samples: list[ScoredSample]) -> list[list[ScoredSample]]:
    return [samples[start : start + 4] for start in range(0, len(samples), 4)]


def test_the_likelihood_of_a_sample_is_the_models_mean_log_probability(finished_run: Path) -> None:
    model, tokenizer = load_folder(finished_run / "models" / "plad")
    prompts = {prompt.id: prompt for prompt in read_jsonl(finished_run / "data" / "test.jsonl", Prompt)}
    samples = read_jsonl(finished_run / "evaluation" / "calibration" / "plad.jsonl", ScoredSample)
    checked = 0
    for sample in samples:
        prompt = tokenizer(prompts[sample.id].text)["input_ids"]
        response = [*tokenizer(sample.response)["input_ids"], tokenizer.eos_token_id]
        if len(response) > 15 or not sample.response:  # it may have been cut short, without an end token
            continue
        with torch.no_grad():
            logps = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(response) - 1)
        mean = sum(float(logps[t, token]) for t, token in zip(places, response, strict=True)) / len(response)
        assert sample.logp == pytest.approx(mean, abs=1e-4)
        checked += 1
    assert checked > 5


def test_another_scorer_runs_nothing_else_again(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    before = outputs(folder)
    display = again(folder, "evaluate.also=[{type: length}, {type: rouge, metric: rouge1}, {type: rouge}]")
    assert display.worked == [
        "prepare/check",
        "evaluate/also-rouge",
        "evaluate/also-rouge-2",
        "evaluate/results",
        "report",
    ]
    changed = different(before, outputs(folder))
    assert {name for name in changed if not name.startswith("evaluation/scores/rouge")} <= {
        *REPORTS, "recipe.yaml", "evaluation/results.json",
    }  # fmt: skip
    _, other, same = results(folder)["scorers"]
    # The second ROUGE is the judge itself.
    assert same["agreement"]["pairwise"]["value"] == 1
    assert same["rows"][-1]["win_rate"] == results(folder)["rows"][-1]["win_rate"]
    assert other["agreement"]["pairwise"]["n"] > 0


def test_calibration_and_other_scorers_can_be_left_out(copy_of_run: Copy) -> None:
    folder = copy_of_run()
    display = again(folder, "evaluate.also=[]", "evaluate.calibration=null")
    assert display.worked == ["prepare/check", "evaluate/results", "report"]
    assert results(folder)["scorers"] == []


def test_a_scorer_to_train_is_no_second_scorer(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"evaluate\.also: bradley_terry is a scorer to train, and only"):
        load_recipe(tiny_recipe, ["evaluate.also=[{type: bradley_terry}]"])


def test_a_mistake_in_a_list_is_named_by_its_place(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"evaluate\.also\.1\.metrik: unknown key\. Did you mean 'metric'\?"):
        load_recipe(tiny_recipe, ["evaluate.also=[{type: length}, {type: rouge, metrik: rouge1}]"])
    with pytest.raises(PladError, match=r"evaluate\.also\.0: unknown type 'lenght'\. Did you mean 'length'\?"):
        load_recipe(tiny_recipe, ["evaluate.also=[{type: lenght}]"])


RUBRIC = "{prompt}\n1: {first}\n2: {second}\nVerdict: "


def test_a_run_judged_by_a_language_model(copy_of_run: Copy, tmp_path: Path) -> None:
    folder = copy_of_run()
    (tmp_path / "short.txt").write_text(RUBRIC)
    judge = f"{{type: judge, model: {{path: {folder / 'models' / 'teacher'}}}, rubric: {tmp_path / 'short.txt'}"
    settings = [f"evaluate.judge={judge}, max_new_tokens: 8}}", "evaluate.calibration.scorer={type: rouge}"]
    display = again(folder, *settings)
    order = [name for name in display.worked if name.startswith("evaluate/")]
    # The others are set beside the initial student, which answers first.
    assert order.index("evaluate/student") < order.index("evaluate/teacher")
    told = results(folder)
    assert [row["name"] for row in told["rows"]] == list(MODELS)
    assert told["scorer"]["name"] == "judge"
    # A model of a few thousand parameters gives no verdict: the report says so.
    assert told["scorer"]["unreadable"]["value"] > 0.9
    assert told["scorer"]["inconsistent"]["n"] == told["scorer"]["unreadable"]["n"] > 50
    verdicts = list(read_jsonl(folder / "evaluation" / "verdicts" / "plad-student.jsonl", Verdict))
    assert [row.against_initial for row in rows(folder, "plad")] == [verdict.outcome for verdict in verdicts]
    asked = [verdict for verdict in verdicts if verdict.replies]
    assert asked
    assert all(len(verdict.replies) == 2 for verdict in asked)
    again_display = again(folder, *settings)
    assert again_display.worked == []


def test_prompts_that_are_judged_some_after_others_come_to_the_same_rows(
    copy_of_run: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of_run()
    files = ["evaluation/plad.jsonl", "evaluation/scores/length/plad.jsonl", "evaluation/results.json"]
    before = [(folder / file).read_bytes() for file in files]
    for file in files:
        (folder / file).unlink()
    monkeypatch.setattr(sys.modules["plad.stages.evaluate"], "AT_ONCE", 4)
    assert "evaluate/plad" in again(folder).worked
    assert [(folder / file).read_bytes() for file in files] == before
