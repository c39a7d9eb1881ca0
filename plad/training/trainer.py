"""transformers' Trainer with our batch layout and likelihood engine. It knows no loss by name."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from plad.losses.plad import RankingCalibration
from plad.losses.sequence import Loss, LossOutput, Sequences
from plad.models.load import pad_id
from plad.models.prompts import PromptFormat
from plad.training.examples import Examples, LengthGrouped, from_rows
from plad.training.layout import Batch
from plad.training.likelihood import base_model, choose_layout, sequences, within

TOTALS = "plad_totals.json"
"""In a checkpoint: what _remember has summed since the last log."""


class PladTrainer(Trainer):
    """Trains a causal or encoder-decoder model, whole or through LoRA, on one of the project's losses.

    Args:
        model: a transformers model, or a PeftModel around one.
        args: the Trainer's own arguments; every one of them works as documented there.
        train_dataset: rows of `prompt`, `chosen`, `rejected` and, for a loss that needs them, `chosen_score` and
            `rejected_score`; or `Examples` that are tokenised already.
        eval_dataset: the same, for `eval_loss` and its companions.
        processing_class: the tokenizer.
        loss: what to minimise; PLaD's ranking calibration by default.
        prompt_format: how prompts become token ids.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        train_dataset: Any,
        eval_dataset: Any = None,
        *,
        processing_class: Any,
        loss: Loss | None = None,
        prompt_format: PromptFormat | None = None,
        **kwargs: Any,
    ):
        self.loss: Loss = RankingCalibration() if loss is None else loss
        self._formatter = (prompt_format or PromptFormat()).bind(processing_class, model.config.is_encoder_decoder)
        # Our collator makes the batch from Example objects, which have no columns to remove.
        args.remove_unused_columns = False
        super().__init__(
            model=model,
            args=args,
            train_dataset=self._tokenised(train_dataset),
            eval_dataset=self._tokenised(eval_dataset),
            processing_class=processing_class,
            data_collator=choose_layout(model, pad_id(processing_class)),
            **kwargs,
        )
        # compute_loss divides by the units of the whole accumulated batch, so that nothing is left to scale.
        self.loss_is_scaled_for_ga = self.model_accepts_loss_kwargs = True
        self._totals: dict[str, Tensor] = {}

    def _tokenised(self, rows: Any) -> Any:
        if isinstance(rows, dict):
            return {name: self._tokenised(some) for name, some in rows.items()}
        return rows if rows is None or isinstance(rows, Examples | str) else from_rows(rows, self._formatter, self.loss)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The share of this micro-batch in the average over the global batch's units."""
        output = self.loss(self._forward(model, inputs))
        self._remember(output)
        units = output.units if num_items_in_batch is None else num_items_in_batch
        # DDP and FSDP average gradients over processes; the units are already counted over all of them.
        loss = output.loss / units * (1 if num_items_in_batch is None else self.accelerator.num_processes)
        return (loss, output) if return_outputs else loss

    def _forward(self, model: nn.Module, inputs: Batch) -> Sequences:
        inner = self.accelerator.unwrap_model(model, keep_torch_compile=False)
        with self.accelerator.autocast():
            return within(model, inner, partial(sequences, batch=inputs))

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Tensor | None:
        if not batch_samples:
            return None
        units = sum(self.loss.units(batch["lengths"]) for batch in batch_samples)
        return self.accelerator.reduce(torch.as_tensor(units, device=device), reduction="sum")

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        examples: Any = train_dataset if train_dataset is not None else self.train_dataset
        # Like lengths on every process of one micro-batch, so that no process waits for another.
        batch = self._train_batch_size * self.args.gradient_accumulation_steps * self.accelerator.num_processes
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return LengthGrouped(examples.tokens, batch, seed)

    def _remember(self, output: LossOutput) -> None:
        for name, value in {"loss": output.loss, "units": output.units, **output.metrics}.items():
            self._totals[name] = self._totals.get(name, torch.zeros((), device=value.device)) + value.detach()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The loss and its own metrics, averaged over the units since the last log."""
        if "loss" in logs and self._totals:
            logs |= self._averages(self._totals)
            self._totals = {}
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """With the sums of an unfinished log entry, so that the curve does not show where a run was stopped."""
        folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        totals = self._summed(self._totals)
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TOTALS).write_text(json.dumps(totals))
        super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        file = Path(resume_from_checkpoint, TOTALS)
        if file.is_file():
            ours = float(self.accelerator.is_main_process)  # they were summed over the processes
            totals = json.loads(file.read_text())
            self._totals = {name: torch.tensor(ours * value, device=self.args.device) for name, value in totals.items()}

    def _summed(self, totals: dict[str, Tensor]) -> dict[str, float]:
        return {name: float(self.accelerator.reduce(value, reduction="sum")) for name, value in totals.items()}

    def _averages(self, totals: dict[str, Tensor]) -> dict[str, float]:
        summed = self._summed(totals)
        units = summed.pop("units")
        return {name: value / units for name, value in summed.items()}

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The loss and its metrics over the evaluation set, averaged over its units whatever the batches."""
        wanted = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(wanted, dict):
            return {
                name: value
                for part, some in wanted.items()
                for name, value in self.evaluate(some, ignore_keys, f"{metric_key_prefix}_{part}").items()
            }
        self.model_wrapped.eval()
        started = time.time()
        totals: dict[str, Any] = {}
        for inputs in self.get_eval_dataloader(self._tokenised(eval_dataset)):
            with torch.no_grad():
                scored = self._forward(self.model_wrapped, self._prepare_inputs(inputs))
            output = self.loss(scored.first(self._fresh(len(scored.lengths_BR))))
            for name, value in {"loss": output.loss, "units": output.units, **output.metrics}.items():
                totals[name] = totals.get(name, 0) + value
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._averages(totals).items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.time() - started
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _fresh(self, held: int) -> int:
        """How many of the examples held are this process's own: accelerate fills its last batch with earlier ones."""
        state, places = self.accelerator.gradient_state, self.args.eval_batch_size
        if self.accelerator.num_processes == 1 or not state.end_of_dataloader or state.remainder <= 0:
            return held
        return min(max(state.remainder - self.accelerator.process_index * places, 0), held)

    def floating_point_ops(self, inputs: Batch) -> int:
        """6 FLOPs a parameter and a token that is not padding (arXiv 2001.08361)."""
        tokens = int((inputs["example"] >= 0).sum()) if "example" in inputs else int(inputs["attention_mask"].sum())
        return 6 * tokens * sum(p.numel() for p in base_model(self.model).parameters())
