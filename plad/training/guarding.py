"""The guard at work in a training, resumed with it: what it saw, did and kept is a function of its records alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from plad.training.guard import Guard, Probe, Vitals, look

RECORDS = "guard.jsonl"
FIRST_ANCHOR = 0.1
"""What an anchor of 0 is raised to; beyond it an anchor doubles."""

Record = dict[str, Any]


class Guarding(TrainerCallback):
    """Looks at a student, acts as its settings say, and keeps the weights of the best step where it is to.

    Every process of several asks its own copy of the student, and comes to the same; sharded weights are not supported.

    Args:
        folder: where the training's checkpoints are; the records go there too, a line a look.
        keep_best: keep the weights of the step with the highest validation win rate, of equals the last.
        say: told in words what went too far, and what was done.
    """

    def __init__(
        self, settings: Guard, probe: Probe, pad_id: int, folder: Path, keep_best: bool, say: Callable[[str], None]
    ):
        self.settings, self.probe, self.pad_id = settings, probe, pad_id
        self.folder, self.keep_best, self.say = folder, keep_best, say
        self.records: list[Record] = []
        self.trainer: Any = None

    def resume(self, trainer: Any, step: int) -> bool:
        """Take up the records up to a checkpoint; what was seen behind it is to be seen again.

        Returns:
            Whether the guard has ended the training at that step.
        """
        self.trainer, file = trainer, self.folder / RECORDS
        lines = file.read_text(encoding="utf-8").splitlines() if step and file.is_file() else []
        self.records = [record for record in map(json.loads, lines) if record["step"] <= step]
        anchors = [record["anchor"] for record in self.records if "anchor" in record]
        if anchors:
            self._hold(anchors[-1])
        return bool(self.records) and self.records[-1]["step"] == step and self.records[-1].get("did") == "stop"

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.records:
            self._look(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        if state.global_step % self.settings.every == 0 or state.global_step == state.max_steps:
            self._look(state.global_step, lambda record: self._act(record, control, **parts))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop the weights that no checkpoint could lead back to."""
        steps = [int(path.name.rpartition("-")[2]) for path in self.folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")]
        needed = {self._best(before) for before in [*steps, state.global_step]}
        for file in self.folder.glob("kept-*.safetensors"):
            if int(file.stem.rpartition("-")[2]) not in needed:
                file.unlink()

    def put_best(self, model: nn.Module) -> int | None:
        """Give the student the weights of the best step, and tell which that was; None where the last is kept."""
        step = self._best() if self.keep_best else None
        if step is None:
            return None
        self.trainer.accelerator.wait_for_everyone()
        kept = load_file(self._kept(step))
        with torch.no_grad():
            for name, parameter in _trained(model).items():
                parameter.copy_(kept[name])
        return step

    def _look(self, step: int, act: Callable[[Record], None] | None = None) -> None:
        """Record what is seen; beyond the start, compare with it and act."""
        now = look(self.trainer.model, self.pad_id, self.probe, step, self.trainer.accelerator.autocast())
        record: Record = {name: value for name, value in asdict(now).items() if value is not None}
        if act is not None:
            record["signs"] = self.settings.signs(now, _vitals(self.records[0]))
            if record["signs"]:
                act(record)
        self.records.append(record)
        if not self.trainer.is_world_process_zero():
            return
        if self.keep_best and self._best() == step:
            save_file(_copied(self.trainer.model), self._kept(step))
        lines = (json.dumps(one, ensure_ascii=False, sort_keys=True) + "\n" for one in self.records)
        partial = self.folder / f".{RECORDS}"
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(self.folder / RECORDS)

    def _act(self, record: Record, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **_: Any) -> None:
        record["did"], told = self.settings.action, ""
        if self.settings.action == "stop":
            control.should_training_stop = True
            told = "; training ends here"
        elif self.settings.action == "lower":
            _halve(optimizer, lr_scheduler)
            told = "; the learning rate is halved"
        elif self.settings.action == "anchor" and hasattr(self.trainer.loss, "anchor"):
            record["anchor"] = 2 * self.trainer.loss.anchor or FIRST_ANCHOR
            self._hold(record["anchor"])
            told = f"; the anchor is raised to {record['anchor']:g}"
        self.say(f"  step {record['step']}: {'; '.join(record['signs'])}{told}")

    def _hold(self, anchor: float) -> None:
        self.trainer.loss = self.trainer.loss.model_copy(update={"anchor": anchor})

    def _best(self, before: int | None = None) -> int | None:
        """The step of the highest win rate up to one, of equals the last. The start itself is no candidate."""
        rated = [one for one in self.records[1:] if "win_rate" in one and (before is None or one["step"] <= before)]
        best = max(rated, key=lambda one: (one["win_rate"], one["step"]), default=None)
        return None if best is None else int(best["step"])

    def _kept(self, step: int) -> Path:
        return self.folder / f"kept-{step}.safetensors"


def _vitals(record: Mapping[str, Any]) -> Vitals:
    return Vitals(**{field.name: record.get(field.name) for field in fields(Vitals)})  # type: ignore[arg-type]


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().cpu().contiguous() for name, parameter in _trained(model).items()}


def _halve(optimizer: Any, lr_scheduler: Any) -> None:
    """The rate now, and what the schedule makes the rates to come of; both are in every checkpoint."""
    for group in optimizer.param_groups:
        group["lr"] /= 2
    schedule = getattr(lr_scheduler, "scheduler", lr_scheduler)
    schedule.base_lrs = [rate / 2 for rate in schedule.base_lrs]
    schedule._last_lr = [rate / 2 for rate in schedule._last_lr]  # what is logged of the step to come
