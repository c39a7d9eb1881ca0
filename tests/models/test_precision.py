"""What `auto` comes to."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from plad.models import precision
from plad.models.precision import computes_bf16, in_bf16

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.parametrize("has", [True, False])
def test_auto_goes_by_the_device_and_a_word_by_itself(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bf16", lambda device: has)
    assert in_bf16("auto", "cpu") is has
    assert [in_bf16(word, "cpu") for word in ("bf16", True, "fp32", False)] == [True, True, False, False]


@pytest.mark.skipif(platform.machine() != "x86_64" or not CPUINFO.is_file(), reason="flags are told otherwise")
def test_of_an_x86_processor_its_own_flags_tell() -> None:
    flags = set(next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split())
    if "avx_ne_convert" in flags:
        pytest.skip("conversion without AVX-512, of which torch's versions think differently")
    assert computes_bf16("cpu") is (flags >= {"avx512bw", "avx512vl", "avx512dq"})


def test_a_machine_without_a_gpu_has_none_that_computes_in_it() -> None:
    if not torch.cuda.is_available():
        assert not computes_bf16("cuda")
