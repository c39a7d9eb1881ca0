"""Vocabularies are compared by content: same ids, same tokens, same end; a padded tail is no difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plad.errors import PladError
from plad.models import PretrainedModel, ScratchModel
from plad.models.tokens import train_bytes
from plad.models.vocabulary import check_alike, check_same_tokens


def tokenizer(text: str = "the cat sat on the mat", size: int = 280) -> Any:
    return train_bytes([text] * 20, size, 64)


def test_the_same_tokens_are_accepted_with_a_longer_tail() -> None:
    longer = tokenizer()
    longer.add_tokens(["<extra-1>", "<extra-2>"])
    check_same_tokens(tokenizer(), tokenizer())
    check_same_tokens(longer, tokenizer())
    check_same_tokens(tokenizer(), longer)


def test_the_first_difference_is_named() -> None:
    ours, theirs = tokenizer(), tokenizer("zz zy zx zw zv")
    assert len(ours) != 258, "some merges were learnt"
    with pytest.raises(PladError, match=r"token 258 is '.+' to the teacher and '.+' to the student\. Choose a teacher"):
        check_same_tokens(ours, theirs)


def test_another_end_token_is_refused() -> None:
    other = tokenizer()
    other.eos_token = "a"
    with pytest.raises(PladError, match="an answer ends with token"):
        check_same_tokens(tokenizer(), other)


def saved(folder: Path, own: Any) -> PretrainedModel:
    own.save_pretrained(folder)
    ScratchModel(width=8, layers=1, heads=1).model(own, 0).config.save_pretrained(folder)
    return PretrainedModel(path=str(folder))


def test_models_of_a_recipe(tmp_path: Path) -> None:
    one, same = saved(tmp_path / "one", tokenizer()), saved(tmp_path / "same", tokenizer())
    other = saved(tmp_path / "other", tokenizer("zz zy zx"))
    check_alike(one, same)
    with pytest.raises(PladError, match="over one vocabulary only, but token"):
        check_alike(one, other)
    with pytest.raises(PladError, match="trains its tokenizer on the task"):
        check_alike(one, ScratchModel())
    check_alike(ScratchModel(width=64), ScratchModel(width=32))
    with pytest.raises(PladError, match="the teacher's is 4096 words, the student's 4096 bytes"):
        check_alike(ScratchModel(tokens="words"), ScratchModel())
    with pytest.raises(PladError, match="one of teacher and student is an encoder-decoder"):
        check_alike(ScratchModel(architecture="t5"), ScratchModel())
