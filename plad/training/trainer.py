"""transformers' Trainer with our batch layout and likelihood engine. It knows no loss by name."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, extract_model_from_parallel
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from plad.errors import DivergedError, PladError
from plad.losses.plad import RankingCalibration
from plad.losses.sequence import Loss, LossOutput, Sequences
from plad.models.load import pad_id
from plad.models.prompts import PromptFormat
from plad.models.quantise import count
from plad.training.attention import quick_attention
from plad.training.checkpoints import seal
from plad.training.diverged import keep_batch
from plad.training.examples import Examples, LengthGrouped, from_rows
from plad.training.layout import Batch, Example
from plad.training.likelihood import Teacher, base_model, choose_layout, sequences, within
from plad.training.lora import quick_adapters
from plad.training.packing import micro_batches
from plad.training.reference import with_reference
from plad.training.rollout import OnPolicy, Sampler

TOTALS = "plad_totals.json"
"""In a checkpoint: what _add has summed since the last log, and the tokens drawn since the beginning."""

DRAWN = "tokens_drawn"

IDLE = "idle"
"""Marks a micro-batch that counts for nothing: it keeps a process in step with those that have more."""


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
        device_tokens: how many tokens a device holds at once, padding included; the rest of its share of a batch
            accumulates. None holds the whole share.
        teacher: for a loss that compares token distributions: a model of the student's kind and vocabulary; or None,
            where `stored.with_logits` has given the examples what it says along them.
        text: for a loss that wants people's text beside its samples: examples of one response.
        max_new_tokens: for a loss that samples in training: where a sample is cut.
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
        device_tokens: int | None = None,
        teacher: Any = None,
        text: Examples | None = None,
        max_new_tokens: int = 128,
        **kwargs: Any,
    ):
        # A model that was trained under mixed precision before still computes in it when called, and its parts do not.
        model = extract_model_from_parallel(model, keep_fp32_wrapper=False)
        self.loss: Loss = RankingCalibration() if loss is None else loss
        _check_company(self.loss, teacher, text, train_dataset)
        self._formatter = (prompt_format or PromptFormat()).bind(processing_class, model.config.is_encoder_decoder)
        self._layout, self._device_tokens = choose_layout(model, pad_id(processing_class), teacher), device_tokens
        # Our collator makes the batch from Example objects, which have no columns to remove.
        args.remove_unused_columns = False
        super().__init__(
            model=model,
            args=args,
            train_dataset=self._tokenised(train_dataset),
            eval_dataset=self._tokenised(eval_dataset),
            processing_class=processing_class,
            data_collator=_as_they_are,
            **kwargs,
        )
        # compute_loss divides by the units of the whole accumulated batch, so that nothing is left to scale.
        self.loss_is_scaled_for_ga = self.model_accepts_loss_kwargs = True
        self._totals: dict[str, Tensor] = {}
        self._own_draws = 0
        self._step: list[Example] = []
        # Before the weights are divided over processes, after which some of them are empty here.
        self._flops_a_token = 6 * count(base_model(self.model))
        self._check_sharded()
        self._teacher = self._frozen(teacher)
        self._on_policy = self._sampling(text, max_new_tokens)
        if self.loss.needs_reference:
            self.train_dataset = self._referenced(self.train_dataset)
            self.eval_dataset = self._referenced(self.eval_dataset)

    def _tokenised(self, rows: Any) -> Any:
        if isinstance(rows, dict):
            return {name: self._tokenised(some) for name, some in rows.items()}
        return rows if rows is None or isinstance(rows, Examples | str) else from_rows(rows, self._formatter, self.loss)

    def _frozen(self, teacher: Any) -> Teacher | None:
        if not self.loss.needs_teacher:
            return None
        if teacher is None:
            return Teacher(None, self.loss.divergence)
        return Teacher(teacher.eval().requires_grad_(False).to(self.args.device), self.loss.divergence)

    def _sampling(self, text: Examples | None, max_new_tokens: int) -> OnPolicy | None:
        settings = self.loss.rollout()
        if settings is None:
            return None
        assert self._teacher is not None
        assert self._teacher.model is not None, "every loss over samples is relative to a teacher that reads them"
        end_id, padding = self._formatter.end_id, self._layout.pad_id
        sampler = Sampler(self.model, self._teacher.model, end_id, padding, max_new_tokens, settings, self._total)
        # Every process has prompts of its own, and must not draw the same numbers for them.
        seed = self.args.seed + 1_000_003 * self.accelerator.process_index
        return OnPolicy(sampler, text if settings.with_text else None, seed)

    @property
    def sharded(self) -> bool:
        """Whether a process holds but a part of the model (FSDP, DeepSpeed)."""
        return self.accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)

    def _check_sharded(self) -> None:
        if self.sharded and self.loss.rollout():
            raise PladError(
                f"{type(self.loss).__name__} draws its text as it trains, which needs the whole student in each "
                f"process, but {self.accelerator.distributed_type.value} divides it. Use ddp."
            )

    def whole_weights(self) -> dict[str, Tensor] | None:
        """The weights by name, of a model that is divided over processes; None where this process has all of it.

        All processes have to ask. What any but the first of them gets is not for use.
        """
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        undivided = deepspeed and self.model_wrapped is self.model  # it has not been trained here
        return self.accelerator.get_state_dict(self.model_wrapped) if self.sharded and not undivided else None

    def _total(self, value: Tensor) -> Tensor:
        """Of all processes."""
        return self.accelerator.reduce(value.to(self.args.device), reduction="sum").to(value.device)

    def _referenced(self, examples: Any) -> Any:
        """With log-likelihoods under the model as it is, which must be the initial student."""
        if isinstance(examples, dict):
            return {name: self._referenced(some) for name, some in examples.items()}
        if examples is None or isinstance(examples, str) or all(e.reference_logps is not None for e in examples):
            return examples
        if self.state.global_step:
            raise PladError(
                "a loss relative to the initial student needs its log-likelihoods, and training has begun. "
                "Give the examples to the trainer as eval_dataset."
            )
        model: Any = self.model
        was_training, place = model.training, model.device
        # One that is to be divided is not where it computes yet.
        model.eval().to(self.args.device)
        found = with_reference(examples, partial(self._score, model), self.args.eval_batch_size)
        model.train(was_training).to(place)
        return found

    def _score(self, model: nn.Module, examples: list[Example]) -> Sequences:
        with self.accelerator.autocast():
            return sequences(model, self._prepare_inputs(self._layout(examples)))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's own, while the model computes by our shorter ways to the same numbers."""
        on_processor = self.args.bf16 and self.args.device.type == "cpu"
        model: Any = self.model
        with quick_adapters(model), quick_attention(model) if on_processor else nullcontext():
            return super().train(*args, **kwargs)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """This process's share of an optimiser step, in parts as the loader gives them, each in micro-batches.

        Of a loss that learns from samples, they are drawn here, by the seed and the step.
        """
        # Before the epoch's first example is asked for. Where several processes go on in mid-epoch, accelerate's word
        # of which one it is does not reach the sampler.
        self._sampler.set_epoch(self.state.global_step // self._sampler.batches)
        held = [part["examples"] for part in islice(epoch_iterator, num_batches)]
        own = [len(examples) for examples in held]
        own[-1:] = [self._fresh(count, self._train_batch_size, self.train_dataset) for count in own[-1:]]
        drawn = self._drawn([examples[: max(1, count)] for examples, count in zip(held, own, strict=True)])
        self._step = [example for examples, count in zip(drawn, own, strict=True) if count for example in examples]
        self._own_draws += sum(len(e.responses[0]) for e in self._step if e.sampling_logps)
        parts = [self._micro_batches(examples, own=count > 0) for examples, count in zip(drawn, own, strict=True)]
        return parts, self._units([batch for part in parts for batch in part], device) if parts else None

    def _drawn(self, parts: list[list[Example]]) -> list[list[Example]]:
        if self._on_policy is None or not parts:
            return parts
        with self.accelerator.autocast():
            return self._on_policy(parts, self.state.global_step)

    def _micro_batches(self, examples: list[Example], own: bool = True) -> list[Batch]:
        """The examples laid out, if they are this process's own. As many on every process, for sharded weights are
        gathered in each pass: what a process has too few of, it fills with passes that count for nothing.
        """
        places = micro_batches(examples if own else [], self._layout, self._device_tokens)
        batches = [self._layout([examples[k] for k in some]) for some in places]
        most = int(self.accelerator.gather(torch.tensor([len(batches)], device=self.args.device)).max())
        while len(batches) < most:
            batches.append(self._layout(examples[:1]) | {IDLE: torch.tensor(True)})
        return batches

    def _units(self, batches: list[Batch], device: torch.device) -> Tensor:
        """Of this step, over all processes."""
        units = torch.as_tensor(sum(self.loss.units(b["lengths"]) for b in batches if IDLE not in b), device=device)
        return self.accelerator.reduce(units, reduction="sum")

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Accumulate the gradient of the micro-batches; processes exchange it once, with the last of them."""
        model.train(self.loss.dropout)
        total = torch.zeros((), device=self.args.device)
        steps = self.accelerator.sync_gradients
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        for left, batch in zip(range(len(inputs) - 1, -1, -1), inputs, strict=True):
            # DeepSpeed's backward pass takes the optimiser's step too, where this says that it is due.
            self.accelerator.sync_gradients = steps and not left
            with self.accelerator.no_sync(model) if left else nullcontext():
                loss, output = self.compute_loss(model, self._prepare_inputs(batch), True, num_items_in_batch)
                # With one process a pass without a gradient needs none; several meet in each other's passes.
                if self.accelerator.num_processes > 1 or deepspeed or output.active is None or output.active > 0:
                    self.accelerator.backward(loss, **({"scale_wrt_gas": False} if deepspeed else {}))
                total += loss.detach()
        if not math.isfinite(total):
            raise self._diverged(float(total))
        return total

    def _diverged(self, loss: float) -> DivergedError:
        """The error of a loss that is no finite number: after it no weight would be one either."""
        step = self.state.global_step + 1
        name = f"diverged-step-{step}-process-{self.accelerator.process_index}.jsonl"
        file = Path(self._get_output_dir(trial=None), name)
        keep_batch(file, self._step, self.processing_class)
        return DivergedError(
            f"training needs a finite loss, but at step {step} it is {loss}: it diverged. Lower the learning_rate, "
            f"which is {self.args.learning_rate:g}, or raise the warmup; where it is so from the first step, look at "
            f"the texts and scores of that step, which are in {file}."
        )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The share of this micro-batch in the average over the global batch's units."""
        output = self.loss(self._forward(model, inputs))
        self._add(self._totals, output, inputs)
        units = output.units if num_items_in_batch is None else num_items_in_batch
        # DDP and FSDP average gradients over processes; the units are already counted over all of them.
        share = output.loss / units * (1 if num_items_in_batch is None else self.accelerator.num_processes)
        loss = 0 * share if IDLE in inputs else share
        return (loss, output) if return_outputs else loss

    def _forward(self, model: nn.Module, inputs: Batch) -> Sequences:
        inner = self.accelerator.unwrap_model(model, keep_torch_compile=False)
        with self.accelerator.autocast():
            # In a dict, where the hooks of FSDP find the tensors; into a dataclass they do not look.
            parts = within(model, inner, lambda module: vars(sequences(module, inputs, self._teacher)))
        return Sequences(**parts)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        examples: Any = train_dataset if train_dataset is not None else self.train_dataset
        # Like lengths on every process of one micro-batch, so that no process waits for another.
        batch = self._train_batch_size * self.args.gradient_accumulation_steps * self.accelerator.num_processes
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        self._sampler = LengthGrouped(examples.tokens, batch, seed)
        return self._sampler

    def _add(self, totals: dict[str, Tensor], output: LossOutput, batch: Batch) -> None:
        """What is to be logged of a batch; of samples also how long they are, since a student may flee into length.

        Of an idle one nothing, by its names: all processes must sum the same ones.
        """
        parts = {"loss": output.loss, "units": output.units, **output.metrics}
        if self._on_policy is not None:
            parts |= {"samples": (batch["lengths"][:, 0] > 0).sum(), "length": batch["lengths"][:, 0].sum()}
        for name, value in parts.items():
            told = torch.zeros_like(value) if IDLE in batch else value.detach()
            totals[name] = totals.get(name, torch.zeros((), device=value.device)) + told

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The loss and its own metrics, averaged over the units since the last log."""
        if "loss" in logs and self._totals:
            logs |= self._averages(self._totals)
            self._totals = {}
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """With the sums of an unfinished log entry, so that the curve does not show where a run was stopped."""
        folder = Path(self._get_output_dir(trial=trial), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        totals = self._summed(self._totals) | {DRAWN: self.tokens_drawn}
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TOTALS).write_text(json.dumps(totals))
        super()._save_checkpoint(model, trial)
        # Every process writes its own random numbers.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            seal(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._load_totals(resume_from_checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        # It takes its weights out of a checkpoint past the method above.
        if checkpoint is not None and self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            self._load_totals(checkpoint)

    def _load_totals(self, checkpoint: str) -> None:
        file = Path(checkpoint, TOTALS)
        if file.is_file():
            ours = float(self.accelerator.is_main_process)  # they were summed over the processes
            totals = json.loads(file.read_text())
            self._own_draws = round(ours * totals.pop(DRAWN, 0))
            self._totals = {name: torch.tensor(ours * value, device=self.args.device) for name, value in totals.items()}

    def _summed(self, totals: dict[str, Tensor]) -> dict[str, float]:
        return {name: float(self.accelerator.reduce(value, reduction="sum")) for name, value in totals.items()}

    def _averages(self, totals: dict[str, Tensor]) -> dict[str, float]:
        summed = self._summed(totals)
        units, samples = summed.pop("units"), summed.pop("samples", 1.0)
        return {name: value / (samples if name == "length" else units) for name, value in summed.items()}

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
        totals: dict[str, Tensor] = {}
        rows = self._tokenised(eval_dataset)
        loader = self.get_eval_dataloader(self._referenced(rows) if self.loss.needs_reference else rows)
        for part in loader:
            fresh = part["examples"][: self._fresh(len(part["examples"]), self.args.eval_batch_size, loader.dataset)]
            [examples] = self._drawn([fresh or part["examples"][:1]])
            for batch in self._micro_batches(examples, own=bool(fresh)):
                with torch.no_grad():
                    output = self.loss(self._forward(self.model_wrapped, self._prepare_inputs(batch)))
                self._add(totals, output, batch)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self._averages(totals).items()}
        metrics[f"{metric_key_prefix}_runtime"] = time.time() - started
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _fresh(self, held: int, places: int, examples: Any) -> int:
        """How many of the examples held are this process's own: accelerate fills its last batch with earlier ones.

        Args:
            held: by what the loader gave last.
            places: in a batch of one process.
            examples: all of the loader's. Its own word of how many are left is another once it has skipped some.
        """
        left = len(examples) % (places * self.accelerator.num_processes)
        if self.accelerator.num_processes == 1 or not self.accelerator.gradient_state.end_of_dataloader or not left:
            return held
        return min(max(left - self.accelerator.process_index * places, 0), held)

    def floating_point_ops(self, inputs: Any) -> int:
        """6 FLOPs a parameter and a token that is not padding (arXiv 2001.08361)."""
        counted = [b for b in inputs if IDLE not in b]
        tokens = sum(int((b["example"] >= 0 if "example" in b else b["attention_mask"]).sum()) for b in counted)
        tokens += sum(len(b["target"]) for b in counted if "encoder_row" in b)
        return tokens * self._flops_a_token

    @property
    def tokens_trained(self) -> int:
        """Tokens of the student's forward and backward passes so far, those before a resumption included.

        A shared prompt counts once. What a teacher reads, and what is drawn in training, is not in it.
        """
        return round(self.state.total_flos / self._flops_a_token)

    @property
    def tokens_drawn(self) -> int:
        """Tokens that were sampled to train on so far, over all processes and those before a resumption included."""
        drawn = torch.tensor(self._own_draws, device=self.args.device)
        return int(self.accelerator.reduce(drawn, reduction="sum"))


def _as_they_are(examples: list[Example]) -> dict[str, list[Example]]:
    """The loader's collator: batches are laid out a step at a time, when it is known what a device holds at once."""
    return {"examples": examples}


def _check_company(loss: Loss, teacher: Any, text: Examples | None, data: Any) -> None:
    if loss.needs_teacher and teacher is None and not _is_stored(loss, data):
        raise PladError(f"{type(loss).__name__} compares with a teacher's distributions. Give teacher=MODEL.")
    settings = loss.rollout()
    if settings and settings.with_text and not text:
        raise PladError("this loss adds the likelihood of people's text. Give text=EXAMPLES, or set its text to 0.")


def _is_stored(loss: Loss, data: Any) -> bool:
    """Whether every example comes with what the teacher says along it."""
    return not loss.rollout() and isinstance(data, Examples) and all(example.teacher for example in data)
