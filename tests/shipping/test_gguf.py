"""GGUF files are read back by transformers' own reader, and asked by llama.cpp where that is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families import TEXTS
from servers import TEMPLATE

from plad.errors import PladError
from plad.models import PromptFormat, ScratchModel
from plad.shipping.export import export
from plad.shipping.gguf import ARCHITECTURES, write_gguf
from plad.shipping.source import find_model
from plad.shipping.vocabulary import check_vocabulary

pytest.importorskip("gguf")

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 1,
}


def small(kind: str) -> tuple[Any, Any]:
    """Random weights of a kind, with a tokenizer of bytes and one row of the embedding more than it has tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = ScratchModel(vocabulary=320).tokenizer(TEXTS)
    more = {"layer_types": ["sliding_attention", "full_attention"]} if kind.startswith("gemma") else {}
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer) + 1, **SHAPE, **more)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)
    return model, tokenizer


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_weights_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model, tokenizer = small(kind)
    write_gguf(tmp_path / "m.gguf", model, PromptFormat().bind(tokenizer), TEMPLATE, "f32")
    again = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32)
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(theirs[name], ours[name], rtol=1e-6, atol=1e-6, msg=name)


def test_the_tokenizer_comes_back_as_it_was(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model, tokenizer = small("llama")
    write_gguf(tmp_path / "m.gguf", model, PromptFormat().bind(tokenizer), TEMPLATE, "q8_0")
    again = AutoTokenizer.from_pretrained(tmp_path, gguf_file="m.gguf")
    assert (again.chat_template, again.eos_token_id) == (TEMPLATE, 1)
    for text in (TEXTS[0], "it's  12 o'clock\n\tü🙂"):
        assert again(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_what_llama_cpp_cannot_hold_is_refused(copy_of_sharp: Callable[[], Path], tmp_path: Path) -> None:
    words = ScratchModel(tokens="words", vocabulary=320).tokenizer(TEXTS)
    with pytest.raises(PladError, match="this one is a WordPiece"):
        check_vocabulary(words)
    folder = copy_of_sharp()
    with pytest.raises(PladError, match="the weights of a GGUF file are one of f32, f16, bf16, q8_0"):
        export(find_model(folder), "gguf", tmp_path / "m.gguf", prompts=0, weights="q4")
    config = folder / "models/student/config.json"
    config.write_text(config.read_text().replace('"model_type": "llama"', '"model_type": "mistral"'))
    with pytest.raises(PladError, match="but plad is a mistral"):
        export(find_model(folder), "gguf", tmp_path / "m.gguf", prompts=0)
    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize("weights", ["f32", "f16"])
def test_llama_cpp_says_what_the_run_says(weights: str, sharp_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    found = export(find_model(sharp_run), "gguf", tmp_path / "m.gguf", prompts=6, weights=weights).agreement
    assert (found.equal, found.alike) == (6, 6)


def test_llama_cpp_shows_a_teacher_its_example(shown_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    found = export(find_model(shown_run, "teacher"), "gguf", tmp_path / "m.gguf", prompts=4, weights="f32").agreement
    assert (found.equal, found.alike) == (4, 4)


def test_without_llama_cpp_it_says_what_to_type(
    sharp_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "llama_cpp" else real(name))
    with pytest.raises(PladError, match=r"pip install 'plad\[llama-cpp\]'; or leave the check away with --prompts 0"):
        export(find_model(sharp_run), "gguf", tmp_path / "m.gguf")
    assert export(find_model(sharp_run), "gguf", tmp_path / "m.gguf", prompts=0).agreement is None


@pytest.mark.slow
def test_a_real_model_says_the_same_as_a_gguf_file(copy_of_sharp: Callable[[], Path], tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    model = os.environ.get("PLAD_TEST_MODEL", "")
    if not Path(model, "config.json").is_file():
        pytest.skip("PLAD_TEST_MODEL names no model")
    folder = copy_of_sharp()
    (folder / "models/student").rename(folder / "models/old")
    (folder / "models/student").symlink_to(Path(model).resolve())
    text = (folder / "recipe.yaml").read_text()
    start, end = text.index("student:\n"), text.index("sample:\n")
    student = f"student: {{model: {{type: pretrained, path: '{model}'}}, sft: null}}\n"
    recipe = (text[:start] + student + text[end:]).replace("chat: false", "chat: true")
    (folder / "recipe.yaml").write_text(recipe)
    found = export(find_model(folder, "student"), "gguf", tmp_path / "m.gguf", prompts=6).agreement
    assert found.alike == 6
    assert found.equal >= 5
