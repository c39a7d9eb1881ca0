"""What a machine reaches in training and in sampling: by the data sheet of a GPU, or by a short measurement here."""

from __future__ import annotations

import time
from dataclasses import dataclass

from plad.errors import PladError, nearest

GPUS = {
    "t4": 65e12,
    "v100": 125e12,
    "rtx3090": 71e12,
    "rtx4090": 165e12,
    "l4": 121e12,
    "l40s": 362e12,
    "a100": 312e12,
    "h100": 989e12,
    "h200": 989e12,
}
"""Dense 16-bit FLOP/s by the makers' data sheets."""

TRAINING_SHARE, SAMPLING_SHARE = 0.4, 0.15
"""What training and batched decoding commonly reach of a GPU's data sheet; a rule of thumb, not measured here."""

MACHINE_SHARE = 0.6
"""What both reached of a measured matrix product on two CPU cores."""


@dataclass(frozen=True)
class Speed:
    """FLOP/s that training and sampling reach."""

    training: float
    sampling: float


def gpu_speed(name: str) -> Speed:
    """What a GPU commonly reaches.

    Raises:
        PladError: it is not among those known.
    """
    key = name.lower().replace(" ", "").replace("-", "")
    if key not in GPUS:
        raise PladError(f"there is no GPU {name!r} in the table.{nearest(key, list(GPUS))} Known: {', '.join(GPUS)}.")
    return Speed(TRAINING_SHARE * GPUS[key], SAMPLING_SHARE * GPUS[key])


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
        return Speed(TRAINING_SHARE * reached, SAMPLING_SHARE * reached)
    return Speed(MACHINE_SHARE * reached, MACHINE_SHARE * reached)
