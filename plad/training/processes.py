"""Several processes that train one model: who of them writes, and what all of them must know."""

from __future__ import annotations

import os

import torch
from torch import distributed


def is_main() -> bool:
    """Whether this process is the one that writes files: the only one, or the first that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def any_of(flag: bool) -> bool:
    """Whether it is so in any process. Where there are several, all of them have to ask."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return flag
    from accelerate import PartialState

    told = torch.tensor(int(flag), device=PartialState().device)
    distributed.all_reduce(told)
    return bool(told)
