"""What test_distributed.py and test_deepspeed.py start twice: trains a few steps and writes down what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import tiny
import torch
from accelerate import PartialState
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DeepSpeedPlugin, DistributedType, patch_environment
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from tiny import make, make_examples
from transformers import TrainingArguments

from plad import interrupt
from plad.errors import PladError
from plad.losses import DPO, KD, NegativeLogLikelihood, RankingCalibration
from plad.models import Lora
from plad.runs import Run
from plad.stages.models import publish_model
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
CONFIGURATIONS = Path(__file__).parents[2] / "recipes" / "accelerate"
STOP = 4  # in the middle of the second epoch, of three steps
LOGGED = 3  # so that what is logged last is of steps before and after the stop


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


def configured(strategy: str) -> tuple[Any, Any]:
    """What accelerate's launcher makes of the configuration that ships."""
    file = CONFIGURATIONS / f"{strategy}.yaml"
    arguments = launch_command_parser().parse_args(["--config_file", str(file), "--num_processes", "2", "script"])
    return _validate_launch_command(arguments)[:2]


@contextmanager
def deepspeed(stage: int) -> Iterator[None]:
    """Within, DeepSpeed divides a model by the configuration that ships.

    accelerate leaves it out where it is told to train on processors, so it is not told. What it then does is its own.
    """
    parsed, defaults = configured(f"deepspeed_zero{stage}")
    parsed.deepspeed_fields_from_accelerate_config = list(defaults.deepspeed_config)
    settings = prepare_deepspeed_cmd_env(parsed)[1]
    begin = PartialState.__init__

    def devices(self: PartialState, cpu: bool = False, **settings: Any) -> None:
        begin(self, cpu=False, **settings | {"backend": "gloo"})

    make = DeepSpeedPlugin.__post_init__

    def dividing(self: DeepSpeedPlugin) -> None:
        make(self)  # type: ignore[no-untyped-call]
        # Matrices of fewer than 100,000 numbers, which is all of ours, would stay whole in each process.
        self.deepspeed_config["zero_optimization"]["stage3_param_persistence_threshold"] = 0

    named = {name: value for name, value in settings.items() if name.startswith("ACCELERATE_")}
    named |= {"ACCELERATE_USE_CPU": "false", "DS_ACCELERATOR": "cpu"}
    with (
        patch_environment(**named),
        # It would compile a way of its own through shared memory, for minutes.
        mock.patch("deepspeed.comm.torch.build_shm_op", return_value=None),
        mock.patch.object(PartialState, "__init__", devices),
        mock.patch.object(DeepSpeedPlugin, "__post_init__", dividing),
    ):
        yield


@contextmanager
def fsdp2() -> Iterator[None]:
    """Within, accelerate divides a model by the configuration that ships.

    On processors it quietly does not (it takes DDP), so it is told that these are GPUs. What it then does is its own.
    """
    settings = prepare_multi_gpu_env(configured("fsdp2")[0])
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
        "held": sum(held(p).numel() for p in trainer.model.parameters()),
        "weights": {name: value.clone() for name, value in weights.items()},
        "evaluated": {name: evaluated[f"eval_{name}"] for name in wanted if f"eval_{name}" in evaluated},
        "logged": {name: logged[name] for name in wanted if name in logged},
    }


def held(parameter: Any) -> torch.Tensor:
    """What this process has of a parameter, under FSDP2, ZeRO-3 or neither."""
    own: torch.Tensor = getattr(parameter, "_local_tensor", getattr(parameter, "ds_tensor", parameter))
    return own


def train_on(kind: str, folder: Path, stop: bool = False, asked: int = 0, log_every: int = 1) -> dict[str, Any]:
    """Train six steps in a folder, or on from what is there; the model is published as a stage does.

    Args:
        stop: press Ctrl-C in the fourth step, in the process of number `asked` alone.
    """
    model, rank = student(kind), int(os.environ.get("RANK", 0))
    whole: list[dict[str, Any]] = []

    def progress(done: int, total: int, logged: dict[str, float]) -> None:
        if stop and done == STOP and rank == asked:
            os.kill(os.getpid(), signal.SIGINT)

    settings = Optimisation(
        max_steps=6, batch_size=GLOBAL_BATCH, device_tokens=TOKENS, learning_rate=0.01, log_every=log_every
    )
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
    except PladError as error:
        return {"refused": str(error)}
    there: Any = SimpleNamespace(workspace=folder / "published", run=Run(folder))
    publish_model(there, model, tiny.letters(), kind, *whole)
    curve = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return {
        "summary": summary,
        "losses": [entry["loss"] for entry in curve if "loss" in entry],
        "weights": {name: value.clone() for name, value in (whole[0] if whole else model.state_dict()).items()},
    }


def with_deepspeed(out: Path) -> dict[str, Any]:
    """With two processes, everything; with one, what two began is tried."""
    result: dict[str, Any] = {}
    world = int(os.environ["WORLD_SIZE"])
    for stage in (2, 3):
        with deepspeed(stage):
            if world == 2:
                result |= {f"{stage}-{kind}": train(kind, out, world) for kind in ("nll", "ranking", "kd")}
                result[f"{stage}-stopped"] = train_on("ranking", out / f"zero{stage}", True, 1, LOGGED)
            result[f"{stage}-on"] = train_on("ranking", out / f"zero{stage}", log_every=LOGGED)
            # As after a kill between the last checkpoint and the end of the task.
            result[f"{stage}-again"] = train_on("ranking", out / f"zero{stage}", log_every=LOGGED)
    return result


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
        result["fsdp2-whole"] = train_on("ranking", out / "fsdp2-whole")
    return result


def assert_equal(one: dict[str, Any], both: dict[str, Any]) -> None:
    assert (one["world"], both["world"]) == (1, 2)
    assert one["weights"].keys() == both["weights"].keys()
    for name, value in one["weights"].items():
        torch.testing.assert_close(both["weights"][name], value, atol=1e-6, rtol=1e-5, msg=name)
    # 7 examples in batches of 3: one process holds 3 + 1 of them and what accelerate repeats to fill the rest.
    assert both["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)
    assert both["logged"]["loss"] == pytest.approx(one["logged"]["loss"], rel=1e-5)
    assert both["logged"] == pytest.approx(one["logged"], rel=1e-4)


def assert_same_curve(on: dict[str, Any], whole: dict[str, Any], logged: int = 6) -> None:
    assert len(on["losses"]) == logged
    assert on["losses"] == pytest.approx(whole["losses"], rel=1e-5)
    assert on["summary"] == pytest.approx(whole["summary"], rel=1e-5)
    for name, value in whole["weights"].items():
        torch.testing.assert_close(on["weights"][name], value, atol=1e-5, rtol=1e-4, msg=name)


def adapter_logits(folder: Path) -> torch.Tensor:
    """(2, 9, V) of the base under the adapter that `train_on` published, each loaded by peft, without code of ours."""
    from peft import PeftModel

    base, ids = make("llama"), torch.arange(2, 20).reshape(2, 9)
    with torch.no_grad():
        plain = base(ids).logits
        adapted: torch.Tensor = PeftModel.from_pretrained(base, str(folder / "models/ranking")).eval()(ids).logits
    assert float((adapted - plain).abs().max()) > 1e-2, "what it learnt is there"
    return adapted


PARTS = {"torch": main, "deepspeed": with_deepspeed}


def launched(folder: Path, processes: int, part: str = "torch") -> dict[str, Any]:
    """What the first of them found."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # Settings of this process's accelerate, if any, must not leak into the two.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ACCELERATE_")}
    env = clean | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONFIGURATIONS.parents[1])}
    done = subprocess.run(
        [*command, __file__, str(folder), part], env=env, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(torch.load(folder / f"result-{processes}.pt"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    found = PARTS[sys.argv[2]](folder)
    if os.environ["RANK"] == "0":
        torch.save(found, folder / f"result-{os.environ['WORLD_SIZE']}.pt")
    torch.distributed.destroy_process_group()
