"""A cut model against one that is built shallow and given the layers by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_load import logits, save, scratch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPTNeoConfig

from plad.errors import PladError
from plad.models import PretrainedModel
from plad.models.depth import Keep, cut, kept, shallow_config
from plad.models.load import load_folder


def test_the_first_and_the_last_stay_and_others_evenly_between() -> None:
    assert kept(30, 15) == [0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29]
    assert kept(4, 3) == [0, 2, 3]
    assert kept(4, 2) == [0, 3]
    assert kept(4, 1) == [0]


def test_layers_that_are_named_stay() -> None:
    assert kept(4, (0, 2, 3)) == [0, 2, 3]
    assert kept(4, (1,)) == [1]


@pytest.mark.parametrize("keep", [(), (0, 0), (2, 1), (0, 4), (-1, 0), (0, 1, 2, 3)])
def test_a_list_of_layers_that_does_not_fit_is_refused(keep: tuple[int, ...]) -> None:
    with pytest.raises(PladError, match="some of the layers 0 to 3, each once and in order"):
        kept(4, keep)


def gemma() -> Any:
    torch.manual_seed(0)
    kinds = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=300,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            sliding_window=4,
            layer_types=kinds,
        )
    ).eval()


@pytest.mark.parametrize("keep", [3, (0, 2, 3)])
@pytest.mark.parametrize("make", [lambda: scratch(layers=4)[0], gemma])
def test_a_cut_model_is_the_shallow_one_with_those_layers(make: Any, keep: Keep, tmp_path: Path) -> None:
    deep = make()
    weights, stay = deep.state_dict(), {"0": "0", "1": "2", "2": "3"}
    shallow = type(deep)(shallow_config(deep.config, keep)).eval()
    shallow.load_state_dict(
        {
            name: weights[".".join(stay.get(part, part) if part.isdigit() else part for part in name.split("."))]
            for name in shallow.state_dict()
        }
    )
    expected = logits(shallow)
    whole = logits(deep)
    model = cut(deep, keep)
    torch.testing.assert_close(logits(model), expected, atol=0, rtol=0)
    assert not torch.allclose(whole, expected)
    with_cache = model.generate(torch.arange(5, 11)[None], max_new_tokens=6, do_sample=False, pad_token_id=0)
    without = model.generate(
        torch.arange(5, 11)[None], max_new_tokens=6, do_sample=False, use_cache=False, pad_token_id=0
    )
    assert torch.equal(with_cache, without), "the cache knows the layers by their new numbers"
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again), expected, atol=0, rtol=0)
    assert again.config.num_hidden_layers == 3


@pytest.mark.parametrize("keep", [1, (0,)])
def test_a_recipe_asks_for_it_by_one_word(keep: Keep, tmp_path: Path) -> None:
    deep = save(tmp_path / "deep")
    spec = PretrainedModel(path=str(tmp_path / "deep"), keep_layers=keep)
    spec.check()
    tokenizer = spec.tokenizer([])
    model = spec.model(tokenizer, seed=0)
    torch.testing.assert_close(logits(model), logits(cut(deep, keep)), atol=0, rtol=0)
    assert spec.parameters(tokenizer) == sum(p.numel() for p in model.parameters())
    model.save_pretrained(tmp_path / "shallow")
    tokenizer.save_pretrained(tmp_path / "shallow")
    torch.testing.assert_close(logits(load_folder(tmp_path / "shallow")[0]), logits(model), atol=0, rtol=0)


def test_what_cannot_be_cut_is_refused_before_any_work(tmp_path: Path) -> None:
    save(tmp_path / "two")
    with pytest.raises(PladError, match="2 is not less than 2"):
        PretrainedModel(path=str(tmp_path / "two"), keep_layers=2).check()
    with pytest.raises(PladError, match="must name some of the layers 0 to 1"):
        PretrainedModel(path=str(tmp_path / "two"), keep_layers=(0, 2)).check()
    with pytest.raises(PladError, match="must name some of the layers 0 to 1"):
        PretrainedModel(path=str(tmp_path / "two"), keep_layers=()).check()
    save(tmp_path / "t5", "t5")
    with pytest.raises(PladError, match="a t5 model is not"):
        PretrainedModel(path=str(tmp_path / "t5"), keep_layers=1).check()
    with pytest.raises(PladError, match="a gpt_neo model is not"):
        shallow_config(GPTNeoConfig(num_layers=2, attention_types=[[["global", "local"], 1]]), 1)
