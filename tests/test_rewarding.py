"""`plad train-reward` from the command line: data in, a scorer that a recipe can name out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_run import COLOURS, write_rows

from plad.cli import main
from plad.config import load_recipe


def plad(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def preferences(tmp_path: Path) -> Path:
    some = [
        {"prompt": f"name the colour of room {n}", "chosen": COLOURS[n % 10], "rejected": "room room"}
        for n in range(60)
    ]
    return write_rows(tmp_path / "preferences.jsonl", some)


@pytest.fixture
def encoder(tmp_path: Path, finished_run: Path) -> Path:
    """A tiny sentence encoder: the run's own tokenizer and random weights."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(finished_run / "models" / "student")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.mark.parametrize(("head", "epochs"), [("embedding", 100), ("classifier", 15)])
def test_the_scorer_that_comes_out_judges(
    head: str, epochs: int, preferences: Path, encoder: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    out, extra = tmp_path / "reward", ["--set", "lr=0.003", "--set", f"epochs={epochs}"]
    result = plad("train-reward", preferences, "--out", out, "--head", head, "--model", encoder, *extra, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["pairs"] == {"train": 54, "held_out": 6}
    (accuracy, control) = told["accuracy"]
    assert accuracy["kind"] == "pair"
    assert accuracy["value"] == 1.0
    assert control["kind"] == "length control"
    recipe = load_recipe(tiny_recipe, [f"evaluate.judge={json.dumps(told['recipe'])}"])
    from plad.records import Prompt

    good, bad = recipe.evaluate.judge.score([Prompt("1", "name the colour of room 5")] * 2, ["red", "room room"])
    assert good > bad


def test_a_runs_pairs_train_and_the_accuracy_is_shown_with_its_interval(
    finished_run: Path, encoder: Path, tmp_path: Path
) -> None:
    result = plad("train-reward", finished_run, "--out", tmp_path / "reward", "--model", encoder, "--held-out", "0.3")
    assert result.exit_code == 0, result.output
    assert "held-out: pair" in result.output
    assert 'use it: --set \'evaluate.judge={"type": "bradley_terry"' in result.output


def test_mistakes_are_told_before_any_work(preferences: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert "is there already. Choose another" in plad("train-reward", preferences, "--out", tmp_path / "there").output
    wrong = plad("train-reward", preferences, "--out", tmp_path / "new", "--set", "epoch=3")
    assert wrong.exit_code == 2
    assert "train-reward: epoch: Extra inputs are not permitted. Known: model, " in wrong.output
    missing = plad("train-reward", tmp_path / "none.jsonl", "--out", tmp_path / "new")
    assert "no file" in missing.output
    assert "between 0 and 1" in plad("train-reward", preferences, "--out", tmp_path / "new", "--held-out", 2).output
    assert not (tmp_path / "new").exists()
