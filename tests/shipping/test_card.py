"""The hub's own client reads the card back; what it says is what the run measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from plad.shipping.card import model_card
from plad.shipping.public import local, public
from plad.shipping.source import find_model


def test_the_metadata_holds_the_estimates_of_the_model_s_own_row(finished_run: Path) -> None:
    card = ModelCard(model_card(find_model(finished_run), "merged", "me/tiny", "apache-2.0"))
    data = card.data.to_dict()
    told = {key: data.get(key) for key in ("license", "library_name", "pipeline_tag", "base_model", "datasets")}
    assert told == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": None,
        "datasets": None,
    }
    assert "plad" in data["tags"]
    results = json.loads((finished_run / "evaluation/results.json").read_text())
    row = next(row for row in results["rows"] if row["name"] == "plad")
    measured = {result.metric_name: result for result in card.data.eval_results}
    against = measured["Win rate against the initial student, judged by rouge"]
    expected = {key: round(row["against_initial"][key], 4) for key in ("low", "high", "n")}
    assert (against.metric_value, against.metric_args) == (round(row["against_initial"]["value"], 4), expected)
    assert against.dataset_split == "test"
    assert measured["ROUGE-L"].metric_value == round(row["rougeL"]["value"], 4)


def test_a_person_reads_results_use_data_limits_recipe_and_citation(finished_run: Path) -> None:
    text = model_card(find_model(finished_run), "adapter", "me/tiny")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "Results",
        "How to use it",
        "How it was made",
        "Data",
        "Limits",
        "Recipe",
        "Citation",
    ]
    assert "PeftModel.from_pretrained(base, 'me/tiny')" in text
    assert "No licence is stated here" in text
    assert "Only 15 test prompts" in text
    assert "| PLaD |" in text


def test_strangers_learn_no_path_and_no_server_of_this_machine(copy_of_run: Callable[[], Path], tmp_path: Path) -> None:
    folder = copy_of_run()
    text = (folder / "recipe.yaml").read_text()
    start, end = text.index("teacher:\n"), text.index("student:\n")
    server = "{type: openai, model: org/big, base_url: 'http://intranet.example:8000/v1', api_key_env: null}"
    (folder / "recipe.yaml").write_text(f"{text[:start]}teacher: {{model: {server}, sft: null}}\n{text[end:]}")
    card = model_card(find_model(folder), "merged")
    assert str(tmp_path.parent) not in card
    assert "intranet" not in card
    assert "/data.jsonl" not in card
    assert "org/big" in card


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("HuggingFaceTB/SmolLM2-135M", False),
        ("gpt2", False),
        ("/data/model", True),
        ("./model", True),
        ("~/model", True),
        ("a/b/c", True),
    ],
)
def test_a_hub_id_is_told_from_a_place(text: str, here: bool) -> None:
    assert local(text) is here


def test_a_template_stays_as_it_is() -> None:
    given = {"prompt": {"template": "/no_think {prompt}"}, "source": {"path": "/home/me/data.jsonl", "split": "train"}}
    assert public(given) == {
        "prompt": {"template": "/no_think {prompt}"},
        "source": {"path": "data.jsonl", "split": "train"},
    }
