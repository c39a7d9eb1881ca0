"""What test_distributed.py starts twice: trains a few steps and writes down what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tiny
import torch
from tiny import make, make_examples
from transformers import TrainingArguments

from plad.losses import DPO, KD, NegativeLogLikelihood, RankingCalibration
from plad.models import Lora
from plad.training.examples import Examples
from plad.training.trainer import PladTrainer

GLOBAL_BATCH = 8
TOKENS = 60  # so few that processes need passes of another number
LOSSES = {
    "nll": NegativeLogLikelihood(),
    "ranking": RankingCalibration(margin=3),
    "dpo": DPO(beta=1),
    "kd": KD(nll=0.5),
}


def train(kind: str, folder: Path, world: int) -> dict[str, Any]:
    loss = LOSSES[kind]
    responses = loss.responses
    model = make("llama")
    if kind == "ranking":
        torch.manual_seed(5)
        model = Lora(r=2, dropout=0.0).wrap(model, "nowhere")
    share = GLOBAL_BATCH // world
    trainer = PladTrainer(
        model,
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
        Examples(make_examples(24, responses, longest=15)),
        Examples(make_examples(7, responses, seed=1)),
        processing_class=tiny.letters(),
        loss=loss,
        device_tokens=TOKENS,
        teacher=make("qwen2", seed=5) if loss.needs_teacher else None,
    )
    trainer.train()
    evaluated = trainer.evaluate()
    wanted = ("loss", "accuracy", "margin", "active", "chosen_logp", "rejected_logp", "kl", "nll")
    logged = next(entry for entry in trainer.state.log_history if "loss" in entry)
    return {
        "world": trainer.accelerator.num_processes,
        "wrapped": type(trainer.model_wrapped).__name__,
        "weights": {name: value.clone() for name, value in trainer.model.state_dict().items()},
        "evaluated": {name: evaluated[f"eval_{name}"] for name in wanted if f"eval_{name}" in evaluated},
        "logged": {name: logged[name] for name in wanted if name in logged},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    result = {kind: train(kind, out, world=2) for kind in LOSSES}
    if torch.distributed.get_rank() == 0:
        torch.save(result, out / "result.pt")
    torch.distributed.destroy_process_group()
