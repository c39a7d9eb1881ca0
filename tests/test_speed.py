"""What a machine reaches, by its data sheet or measured."""

from __future__ import annotations

import pytest

from plad.errors import PladError
from plad.speed import Speed, gpu_speed, machine_speed


def test_speeds() -> None:
    assert gpu_speed("A100") == Speed(0.4 * 312e12, 0.15 * 312e12)
    assert gpu_speed("RTX 4090").training == 0.4 * 165e12
    with pytest.raises(PladError, match=r"there is no GPU 'h1000' in the table\. Did you mean 'h100'\?"):
        gpu_speed("h1000")
    assert 1e8 < machine_speed(0.05).sampling < 1e16
