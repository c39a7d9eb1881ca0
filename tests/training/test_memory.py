from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from plad.training import memory
from plad.training.memory import peak_memory

MB = 2**20


@pytest.mark.skipif(sys.platform != "linux" or torch.cuda.is_available(), reason="the mark is Linux's")
def test_the_most_that_was_held_within_and_not_before() -> None:
    peaks = []
    for size in (200, 100, 100):
        with peak_memory() as peak:
            torch.ones(size * MB // 4)
        peaks.append(peak[0] or 0)
    assert peaks[0] - peaks[2] == pytest.approx(100 * MB, abs=20 * MB)
    assert peaks[1] == pytest.approx(peaks[2], abs=20 * MB)


def test_where_nobody_tells_there_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "none")
    with peak_memory() as peak:
        pass
    assert peak == [None] or torch.cuda.is_available()
