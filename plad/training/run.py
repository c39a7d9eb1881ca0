"""Training from a recipe's settings to a folder: resumes from its own checkpoints and records its curve."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from plad import interrupt
from plad.errors import PladError
from plad.losses.sequence import Loss
from plad.models.load import device
from plad.models.precision import MixedPrecision, in_bf16
from plad.spec import Spec
from plad.tracking import Tracker
from plad.training.checkpoints import check_goes_on, last_whole
from plad.training.examples import Examples
from plad.training.following import CLOCK, following
from plad.training.processes import any_of
from plad.training.watch import concerns

if TYPE_CHECKING:  # it needs the Trainer, whose import a recipe should not wait for
    from plad.training.guarding import Guarding


LOGGED = 20
"""Steps that a training logs at the least, where it has so many: fewer show no trend (`training.watch`)."""


class Optimisation(Spec):
    """AdamW and its schedule. `batch_size` is the global batch; a device's share of it may be accumulated."""

    epochs: float = Field(1.0, gt=0)
    max_steps: int | None = Field(None, ge=1, description="stops earlier, or later, than the epochs would")
    batch_size: int = Field(8, ge=1, description="examples an optimiser step sees, over all devices")
    device_tokens: int | None = Field(
        8192,
        ge=1,
        description="tokens a device holds at once, padding included; the rest accumulates",
    )
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    precision: MixedPrecision = Field("fp32", description="auto: bf16 where the device computes in it, else fp32")
    gradient_checkpointing: bool = False
    checkpoint_every: int = Field(100, ge=1, description="optimiser steps between checkpoints to resume from")
    log_every: int = Field(10, ge=1, description="optimiser steps between logged ones; fewer in a short training")
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = Field(
        (), description="trackers that follow the training, and hear what its evaluation came to"
    )

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_or_none(cls, names: Any) -> Any:
        """One name by itself, or `none`, as transformers takes them."""
        return {"none": ()}.get(names, (names,)) if isinstance(names, str) else names


def train(
    model: Any,
    tokenizer: Any,
    examples: Examples,
    loss: Loss,
    settings: Optimisation,
    folder: Path,
    seed: int,
    *,
    validation: Examples | None = None,
    teacher: Any = None,
    text: Examples | None = None,
    max_new_tokens: int = 128,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
    guard: Guarding | None = None,
    warn: Callable[[str], None] | None = None,
    gathered: Callable[[dict[str, Any]], None] | None = None,
    trackers: Mapping[str, Tracker] | None = None,
) -> dict[str, Any]:
    """Train `model` in place; checkpoints go to `folder` and a later call with the same folder continues there.

    One of several processes may call it, when all of them do, with the same arguments.

    Args:
        teacher, text, max_new_tokens: for a loss that needs them, as `PladTrainer` says.
        progress: called with (steps done, steps in all, latest logged values).
        guard: looks at the model as it learns.
        warn: told, once each, what looks wrong in the curve so far.
        gathered: given the trained weights by name, whole, where `model` is divided over processes (FSDP, DeepSpeed)
            and so cannot be saved as it is; only the first process gets them all.
        trackers: hear by their names what is logged; one that fails is told of and left out.

    Raises:
        PladError: the loss is no longer a finite number; what it was computed of is kept in `folder`. Or the checkpoint
            there is one of another strategy, or under DeepSpeed of another number of processes. Or a guard is to look
            at a student that is divided over processes.
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint was made after the step that was under way.

    Returns:
        Steps, the tokens trained on, those drawn meanwhile, the last logged training loss, the validation loss
        afterwards where there is validation data, and the step whose weights a guard kept where it was to. `warnings`
        are sentences on the whole curve, if there are any.
    """
    from plad.training.trainer import PladTrainer

    trainer = PladTrainer(
        model,
        _arguments(settings, folder, seed, len(examples)),
        examples,
        validation,
        processing_class=tokenizer,
        loss=loss,
        device_tokens=settings.device_tokens,
        teacher=teacher,
        text=text,
        max_new_tokens=max_new_tokens,
        callbacks=[
            _curve(folder / "history.jsonl"),
            *([guard] if guard else []),
            *([following(trackers, warn)] if trackers else []),
            _callback(progress, warn),
        ],
    )
    _quieten(trainer)
    if trainer.sharded and guard:
        raise PladError(
            "a guard asks the whole student in each process, but this strategy divides it over them. "
            "Set distill.guard to null, or use ddp."
        )
    last = last_whole(folder)
    if last:
        check_goes_on(Path(last), trainer.accelerator.distributed_type.value, trainer.accelerator.num_processes)
    if not _restored(trainer, last, guard):
        trainer.train(resume_from_checkpoint=last)
        if trainer.state.global_step < trainer.state.max_steps:
            _stop_where_asked()
    kept = guard.put_best(model) if guard else None
    after = trainer.evaluate() if validation is not None and len(validation) else {}
    if gathered and (weights := trainer.whole_weights()) is not None:
        gathered(weights)
    if trainer.is_world_process_zero():
        write_history(folder / "history.jsonl", trainer.state.log_history)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    loss_now = losses[-1] if losses else float("nan")
    summary: dict[str, Any] = {"steps": trainer.state.global_step, "tokens": trainer.tokens_trained, "loss": loss_now}
    summary |= {"drawn": trainer.tokens_drawn} if loss.rollout() else {}
    summary |= {} if kept is None else {"kept_step": kept}
    warnings = list(concerns(trainer.state.log_history).values())
    summary |= {"warnings": warnings} if warnings else {}
    return summary | {key: value for key, value in after.items() if key == "eval_loss"}


def _restored(trainer: Any, checkpoint: str | None, guard: Guarding | None) -> bool:
    """Take the weights of a checkpoint at the last step, if it is one: the Trainer would go one step beyond it."""
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(Path(checkpoint, "trainer_state.json"))) if checkpoint else None
    ended = guard is not None and guard.resume(trainer, state.global_step if state else 0)
    if checkpoint is None or state is None or (state.global_step < state.max_steps and not ended):
        return False
    trainer._load_from_checkpoint(checkpoint)
    # One that is to be divided is not where it computes yet.
    trainer.model.to(trainer.args.device)
    trainer.state = state
    return True


def _stop_where_asked() -> None:
    if any_of(interrupt.asked()):
        raise KeyboardInterrupt


def write_history(path: Path, entries: list[dict[str, float]]) -> None:
    """The training curve, one JSON object a logged step, without what a clock measured: reruns are equal."""
    path.write_text(_curve_lines(entries))


def _curve_lines(entries: list[dict[str, float]]) -> str:
    rows = [{k: v for k, v in entry.items() if not k.endswith(CLOCK)} for entry in entries]
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows if "loss" in row or "eval_loss" in row)


def _arguments(settings: Optimisation, folder: Path, seed: int, examples: int) -> Any:
    import torch
    from accelerate import PartialState
    from transformers import TrainingArguments

    on_cpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    share = _share(settings, PartialState(cpu=on_cpu).num_processes)
    steps = settings.max_steps or -(-examples // settings.batch_size) * settings.epochs
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=share,
        per_device_eval_batch_size=share,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=int(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=in_bf16(settings.precision, device()),
        gradient_checkpointing=settings.gradient_checkpointing,
        save_steps=settings.checkpoint_every,
        save_total_limit=2,
        logging_steps=min(settings.log_every, max(1, int(steps / LOGGED))),
        logging_first_step=True,
        report_to="none",  # its callbacks would write into the workspace, and know neither run nor task
        seed=seed,
        disable_tqdm=True,
        use_cpu=on_cpu,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _share(settings: Optimisation, world: int) -> int:
    """A device's share of the global batch.

    Raises:
        PladError: the global batch does not divide over the processes.
    """
    share, left = divmod(settings.batch_size, world)
    if left:
        raise PladError(
            f"batch_size is the global batch and must divide over the processes, but {settings.batch_size} is not a "
            f"multiple of {world}. Set batch_size to {max(1, share) * world}."
        )
    return share


def _quieten(trainer: Any) -> None:
    """Progress is ours to show; the Trainer's own printer would write its dictionaries over it."""
    from transformers import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)


def _curve(path: Path) -> Any:
    """Writes the training curve while it is made, for those who watch; whole again when training resumes."""
    from transformers import TrainerCallback

    class Curve(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_history(path, state.log_history)

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                with path.open("a") as lines:
                    lines.write(_curve_lines(state.log_history[-1:]))

    return Curve()


def _callback(progress: Callable[[int, int, dict[str, float]], None] | None, warn: Callable[[str], None] | None) -> Any:
    """Reports every step, and on Ctrl-C makes a checkpoint after it and stops there."""
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        def __init__(self) -> None:
            self.latest: dict[str, float] = {}
            self.told: set[str] = set()
            self.stop = False

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self.latest = dict(logs or {})
            if warn and state.is_world_process_zero:
                found = concerns(state.log_history)
                for name, sentence in found.items():
                    if name not in self.told:
                        warn(sentence)
                self.told |= found.keys()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if progress:
                progress(state.global_step, state.max_steps, self.latest)
            # All processes stop after the same step, whichever of them was asked.
            self.stop = any_of(interrupt.asked())
            control.should_save |= self.stop

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # Not before: a checkpoint holds these wishes, and a training that goes on from it would stop again.
            control.should_training_stop |= self.stop

    return Reporter()
