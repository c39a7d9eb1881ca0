"""Where a scorer's training stands, in one file: written whole or not at all, and of use to the same training alone."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plad.records import PreferencePair


class Checkpoint:
    """The state of a training that `settings` and `preferences` determine; that of another one counts as none."""

    def __init__(self, file: Path, settings: Any, preferences: Sequence[PreferencePair]):
        told = json.dumps([settings, [asdict(pair) for pair in preferences]], sort_keys=True, default=list)
        self.file, self.mark = file, hashlib.sha256(told.encode()).hexdigest()

    def save(self, step: int, *parts: Any) -> None:
        """Note how many steps are done, the state of the parts (all that have a state_dict), and the random numbers."""
        import torch

        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_name(f".{self.file.name}.partial")
        states = [part.state_dict() for part in parts]
        torch.save({"mark": self.mark, "step": step, "states": states, "random": torch.get_rng_state()}, partial)
        partial.replace(self.file)

    def restore(self, *parts: Any) -> int:
        """Put the parts where they were; returns how many steps are done, 0 where nothing was noted."""
        import torch

        if not self.file.is_file():
            return 0
        try:
            found = torch.load(self.file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # damaged: begin anew
            return 0
        if found.get("mark") != self.mark:
            return 0
        for part, state in zip(parts, found["states"], strict=True):
            part.load_state_dict(state)
        torch.set_rng_state(found["random"])
        return int(found["step"])
