from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from plad.errors import PladError
from plad.scoring.base import batches_by_length
from plad.scoring.encoder import SentenceEncoder, model_source

TEXTS = ["the cat sat", "a dog", "the cat sat", "returns the list of two numbers ."]


def one_by_one(folder: str, text: str) -> torch.Tensor:
    """Mean of the hidden states without any padding, at length 1."""
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        mean = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0].mean(0)
    return mean / mean.norm()


def test_vectors_are_the_means_without_padding_in_the_order_of_the_texts(tiny_bert: str) -> None:
    vectors = SentenceEncoder(model=tiny_bert, batch_size=3).encode(TEXTS)
    expected = torch.stack([one_by_one(tiny_bert, text) for text in TEXTS])
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)


def test_repeated_texts_are_embedded_once_and_remembered(tiny_bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = SentenceEncoder._encode_unique

    def spy(self: SentenceEncoder, texts: list[str], progress: object) -> torch.Tensor:
        seen.append(texts)
        return real(self, texts, progress)

    monkeypatch.setattr(SentenceEncoder, "_encode_unique", spy)
    encoder = SentenceEncoder(model=tiny_bert, remember=2)
    done: list[int] = []
    first = encoder.encode(TEXTS, done.append)
    again = encoder.encode(["a dog", "returns the list of two numbers ."])
    encoder.encode(["the cat sat"])
    assert seen == [["the cat sat", "a dog", "returns the list of two numbers ."], [], ["the cat sat"]]
    assert sum(done) == 4
    assert torch.equal(again, first[[1, 3]])


def test_long_texts_lose_their_end(tiny_bert: str) -> None:
    encoder = SentenceEncoder(model=tiny_bert, max_tokens=4)
    vectors = encoder.encode(["a dog sat", "a dog"])
    torch.testing.assert_close(vectors[0], vectors[1])


def test_bf16_stays_near(tiny_bert: str) -> None:
    exact, near = (SentenceEncoder(model=tiny_bert, bf16=bf16).encode(TEXTS) for bf16 in (False, True))
    assert (exact * near).sum(-1).min() > 0.99


def test_nothing_gives_nothing(tiny_bert: str) -> None:
    assert SentenceEncoder(model=tiny_bert).encode([]).shape == (0, 16)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(PladError, match=r"no_such_package.*pip install"):
        model_source("package:no_such_package")
    with pytest.raises(PladError, match=r"config\.json"):
        model_source("package:json")
    assert model_source("someone/model") == "someone/model"


def test_batches_run_from_long_to_short_and_hold_everything_once() -> None:
    assert list(batches_by_length([1, 3, 2, 3, 9], 2)) == [[4, 1], [3, 2], [0]]
