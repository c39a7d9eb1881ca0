"""`plad train-reward` from the command line: data in, a scorer that a recipe can name out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from tiny_run import COLOURS, Recorder, write_rows

from plad.cli import main
from plad.config import load_recipe
from plad.records import PreferencePair
from plad.rewarding import train_reward
from plad.scoring.checkpoint import Checkpoint


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


class Stopper(Recorder):
    """Ends the process's work, as far as it can tell, once so many pairs were trained on."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        def advance(done: int, values: Any, total: int | None = None) -> None:
            if done >= self.limit:
                raise KeyboardInterrupt

        yield advance


def test_a_stopped_training_goes_on_and_ends_with_equal_weights(
    preferences: Path, encoder: Path, tmp_path: Path
) -> None:
    settings = {"model": str(encoder), "lr": 0.003, "epochs": 3, "checkpoint_every": 2, "pairs_per_step": 8}
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    for limit in (40, 100):  # of 162 pairs; steps are of 8 and, at the end of an epoch, 6
        with pytest.raises(KeyboardInterrupt):
            train_reward(preferences, stopped, "classifier", settings, 0.1, 1, Stopper(limit))
    assert torch.load(tmp_path / ".stopped.work" / "checkpoint.pt")["step"] == 12, "step 13 brings it to 100 pairs"
    told = train_reward(preferences, stopped, "classifier", settings, 0.1, 1, Recorder())
    assert told["accuracy"] == train_reward(preferences, whole, "classifier", settings, 0.1, 1, Recorder())["accuracy"]
    one, two = ((folder / "model.safetensors").read_bytes() for folder in (stopped, whole))
    assert one == two
    assert not (tmp_path / ".stopped.work").exists()


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_no_checkpoint(tmp_path: Path) -> None:
    pairs = [PreferencePair("1", "q", "good", "bad")]
    part = torch.nn.Linear(2, 1)
    before = part.weight.clone()
    Checkpoint(tmp_path / "point", {"lr": 1}, pairs).save(7, part)
    with torch.no_grad():
        part.weight.add_(1)
    assert Checkpoint(tmp_path / "point", {"lr": 2}, pairs).restore(part) == 0
    assert Checkpoint(tmp_path / "point", {"lr": 1}, [pairs[0].swap()]).restore(part) == 0
    assert Checkpoint(tmp_path / "point", {"lr": 1}, pairs).restore(part) == 7
    assert torch.equal(part.weight, before)
    (tmp_path / "point").write_bytes((tmp_path / "point").read_bytes()[:50])
    assert Checkpoint(tmp_path / "point", {"lr": 1}, pairs).restore(part) == 0
