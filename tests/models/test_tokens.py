"""Tokenizers of models from scratch: the same for the same texts, whatever the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
