"""Tokenizers of models from scratch: the same for the same texts, whatever the process."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from plad.models.tokens import train_words

PROGRAM = """
import sys
from plad.models import tokens
texts = [f"def read_{n % 7}(file{n}): return parse the {n % 13}th line of every file{n % 5}" for n in range(400)]
sys.stdout.write(getattr(tokens, sys.argv[1])(texts, 320, 64).backend_tokenizer.to_str())
"""


@pytest.mark.parametrize("train", ["train_words", "train_bytes"])
def test_two_processes_train_the_same_tokenizer(train: str) -> None:
    """The trainer of word pieces numbers them in the order of a hash map, which every process seeds anew."""
    command = [sys.executable, "-c", PROGRAM, train]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert "vocab" in first
    assert first == second


def test_pieces_that_are_equally_frequent_are_joined_in_one_order() -> None:
    """Of 60 pairs of letters seen as often as each other there is room for 20; which, must not be left to chance."""
    rng = random.Random(1)
    letters = "abcdefghijklmnop"
    pairs = rng.sample([a + b for a in letters for b in letters], 60)
    texts = [f"z{pair}" for pair in pairs]
    trained = [set(train_words(texts, 3 + 17 + 16 + 20, 64).get_vocab()) for _ in range(6)]
    assert all(vocabulary == trained[0] for vocabulary in trained)
    assert any(len(piece) > 3 for piece in trained[0]), "something was joined"
