"""What a machine reaches, by its data sheet or measured."""

from __future__ import annotations

import pytest

from plad.errors import PladError
from plad.speed import gpu_speed, machine_speed


def test_speeds() -> None:
    a100, four = gpu_speed("A100"), gpu_speed("A100", 4)
    assert (a100.training, a100.count) == (0.45 * 312e12, 1)
    assert (four.training, four.sampling, four.count) == (4 * a100.training, 4 * a100.sampling, 4)
    assert gpu_speed("RTX 4090").training == 0.4 * 165e12
    with pytest.raises(PladError, match=r"there is no GPU 'h1000' in the table\. Did you mean 'h100'\?"):
        gpu_speed("h1000")
    assert 1e8 < machine_speed(0.05).sampling < 1e16


@pytest.mark.parametrize(
    ("gpu", "published"),
    [("h100", 5762), ("h100", 6667), ("h100", 5605), ("a100", 2904), ("a100", 2973)],
)
def test_training_is_as_fast_as_torchtitan_published(gpu: str, published: int) -> None:
    """Llama 3's 8 B under FSDP2 in bf16: tokens a second on each of 8 and 128 H100s, and of 64 A100s (docs/scaling.md).

    The 6 FLOPs a weight and token leave out attention, which its rows of 8,192 tokens have.
    """
    assert gpu_speed(gpu).training / (6 * 8.03e9) == pytest.approx(published, rel=0.15)
