"""What test_distributed.py starts twice: trains a few steps and writes down what came of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import tiny
import torch
from accelerate import PartialState
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType, patch_environment
from accelerate.utils.launch import prepare_multi_gpu_env
from tiny import make, make_examples
from transformers import TrainingArguments

from plad import interrupt
from plad.losses import DPO, KD, NegativeLogLikelihood, RankingCalibration
from plad.models import Lora
from plad.training.examples import Examples
from plad.training.run import Optimisation
from plad.training.run import train as train_to_a_folder
from plad.training.trainer import PladTrainer

GLOBAL_BATCH = 8
TOKENS = 60  # so few that processes need passes of another number
LOSSES = {
    "nll": NegativeLogLikelihood(),
    "ranking": RankingCalibration(margin=3),
    "dpo": DPO(beta=1),
    "kd": KD(nll=0.5),
}
FSDP2 = Path(__file__).parents[2] / "recipes" / "accelerate" / "fsdp2.yaml"
STOP = 4  # in the middle of the second epoch, of three steps


def student(kind: str) -> Any:
    """The whole model learns, or for `ranking` an adapter."""
    model = make("llama")
    if kind == "ranking":
        torch.manual_seed(5)
        model = Lora(r=2, dropout=0.0).wrap(model, "nowhere")
    return model


def data_of(kind: str) -> dict[str, Any]:
    loss = LOSSES[kind]
    return {
        # The last batch of an epoch is not full, and of its two parts the second has nothing for the second process.
        "examples": Examples(make_examples(22, loss.responses, longest=15)),
        "validation": Examples(make_examples(7, loss.responses, seed=1)),
        "teacher": make("qwen2", seed=5) if loss.needs_teacher else None,
    }


@contextmanager
def fsdp2() -> Iterator[None]:
    """Within, accelerate divides a model by the configuration that ships.

    On processors it quietly does not (it takes DDP), so it is told that these are GPUs. What it then does is its own.
    """
    arguments = launch_command_parser().parse_args(["--config_file", str(FSDP2), "--num_processes", "2", "script"])
    settings = prepare_multi_gpu_env(_validate_launch_command(arguments)[0])
    begin = PartialState.__init__

    def gpus(self: PartialState, *args: Any, **settings: Any) -> None:
        begin(self, *args, **settings)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    named = {name: value for name, value in settings.items() if name.startswith("FSDP_")}
    with mock.patch.object(PartialState, "__init__", gpus), patch_environment(ACCELERATE_USE_FSDP="true", **named):
        yield


def train(kind: str, folder: Path, world: int) -> dict[str, Any]:
    loss, share, data = LOSSES[kind], GLOBAL_BATCH // world, data_of(kind)
    trainer = PladTrainer(
        student(kind),
        TrainingArguments(
            output_dir=str(folder / kind),
            per_device_train_batch_size=share // 2,
            gradient_accumulation_steps=2,
            per_device_eval_batch_size=3,
            max_steps=5,
            learning_rate=0.05,
            optim="sgd",
            logging_steps=5,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        data["examples"],
        data["validation"],
        processing_class=tiny.letters(),
        loss=loss,
        device_tokens=TOKENS,
        teacher=data["teacher"],
    )
    trainer.train()
    evaluated = trainer.evaluate()
    wanted = ("loss", "accuracy", "margin", "active", "chosen_logp", "rejected_logp", "kl", "nll")
    logged = next(entry for entry in trainer.state.log_history if "loss" in entry)
    weights = trainer.model.state_dict() if (whole := trainer.whole_weights()) is None else whole
    return {
        "world": trainer.accelerator.num_processes,
        "wrapped": type(trainer.model_wrapped).__name__,
        "held": sum(getattr(p, "_local_tensor", p).numel() for p in trainer.model.parameters()),
        "weights": {name: value.clone() for name, value in weights.items()},
        "evaluated": {name: evaluated[f"eval_{name}"] for name in wanted if f"eval_{name}" in evaluated},
        "logged": {name: logged[name] for name in wanted if name in logged},
    }


def train_on(kind: str, folder: Path, stop: bool = False, asked: int = 0) -> dict[str, Any]:
    """Train six steps in a folder, or on from what is there.

    Args:
        stop: press Ctrl-C in the fourth step, in the process of number `asked` alone.
    """
    model, rank = student(kind), int(os.environ.get("RANK", 0))
    whole: list[dict[str, Any]] = []

    def progress(done: int, total: int, logged: dict[str, float]) -> None:
        if stop and done == STOP and rank == asked:
            os.kill(os.getpid(), signal.SIGINT)

    settings = Optimisation(max_steps=6, batch_size=GLOBAL_BATCH, device_tokens=TOKENS, learning_rate=0.01, log_every=1)
    try:
        with interrupt.step_by_step():
            summary = train_to_a_folder(
                model,
                tiny.letters(),
                loss=LOSSES[kind],
                settings=settings,
                folder=folder,
                seed=1,
                progress=progress,
                gathered=whole.append,
                **data_of(kind),
            )
    except KeyboardInterrupt:
        return {"stopped": sorted(path.name for path in folder.glob("checkpoint-*"))}
    curve = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {
        "summary": summary,
        "losses": [entry["loss"] for entry in curve if "loss" in entry],
        "weights": {name: value.clone() for name, value in (whole[0] if whole else model.state_dict()).items()},
    }


def main(out: Path) -> dict[str, Any]:
    """With two processes, everything; with one, the divided model of two goes on."""
    if int(os.environ["WORLD_SIZE"]) == 1:
        with fsdp2():
            return {"on": train_on("ranking", out / "fsdp2-to-one")}
    result: dict[str, Any] = {kind: train(kind, out, world=2) for kind in LOSSES}
    result["stopped"] = train_on("nll", out / "two-to-one", stop=True, asked=1)
    result["on"] = train_on("nll", out / "one-to-two")
    with fsdp2():
        result |= {f"fsdp2-{kind}": train(kind, out, world=2) for kind in ("nll", "ranking", "kd")}
        result["fsdp2-stopped"] = train_on("ranking", out / "fsdp2-to-one", stop=True, asked=1)
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    found = main(folder)
    if torch.distributed.get_rank() == 0:
        torch.save(found, folder / f"result-{os.environ['WORLD_SIZE']}.pt")
    torch.distributed.destroy_process_group()
