"""What a machine reaches in training and in sampling: by the data sheet of its GPUs, or by a measurement here."""

from __future__ import annotations

import time
from dataclasses import dataclass

from plad.errors import PladError, nearest


@dataclass(frozen=True)
class GPU:
    """A data sheet: dense 16-bit FLOP/s, bytes of memory and bytes a second from it.

    `trains` is the share of these FLOP/s that training reaches, counted as 6 a weight and token: of the A100 and of
    those of the H100's generation what torchtitan published (docs/scaling.md), elsewhere a rule of thumb.
    """

    flops: float
    memory: float
    bandwidth: float
    trains: float = 0.4


GPUS = {
    "t4": GPU(65e12, 16e9, 320e9),
    "v100": GPU(125e12, 32e9, 900e9),
    "rtx3090": GPU(71e12, 24e9, 936e9),
    "rtx4090": GPU(165e12, 24e9, 1008e9),
    "l4": GPU(121e12, 24e9, 300e9),
    "l40s": GPU(362e12, 48e9, 864e9),
    "a100": GPU(312e12, 80e9, 2039e9, trains=0.45),
    "h100": GPU(989e12, 80e9, 3350e9, trains=0.3),
    "h200": GPU(989e12, 141e9, 4800e9, trains=0.3),
}

SAMPLING_SHARE = 0.15
"""What batched decoding commonly reaches of a measured matrix product on a GPU; a rule of thumb."""

MACHINE_SHARE = 0.6
"""What both reached of a measured matrix product on two CPU cores."""


@dataclass(frozen=True)
class Speed:
    """FLOP/s that training and sampling reach, over all `count` devices.

    With a `gpu` the time of answers is not told by `sampling` but by how fast the GPU reads its memory.
    """

    training: float
    sampling: float
    gpu: GPU | None = None
    count: int = 1


def gpu_speed(name: str, count: int = 1) -> Speed:
    """What a number of GPUs commonly reach.

    Raises:
        PladError: it is not among those known.
    """
    key = name.lower().replace(" ", "").replace("-", "")
    if key not in GPUS:
        raise PladError(f"there is no GPU {name!r} in the table.{nearest(key, list(GPUS))} Known: {', '.join(GPUS)}.")
    gpu = GPUS[key]
    return Speed(gpu.trains * gpu.flops * count, SAMPLING_SHARE * gpu.flops * count, gpu, count)


def machine_speed(seconds: float = 0.5) -> Speed:
    """What this machine reaches, from products of matrices of 1,024 × 1,024 for about `seconds`."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    one = torch.randn(1024, 1024, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    (one @ one).sum().item()
    started, products = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds:
        (one @ one).sum().item()
        products += 1
    reached = products * 2 * 1024**3 / spent
    if device == "cuda":
        return Speed(GPU.trains * reached, SAMPLING_SHARE * reached)
    return Speed(MACHINE_SHARE * reached, MACHINE_SHARE * reached)
