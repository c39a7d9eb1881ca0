"""Pairs per second of preference training, side by side: plad against TRL's reference-free hinges.

    pip install -e '.[bench,gguf]' && plad fetch smollm2-135m-instruct
    python benchmarks/train_throughput.py --task debian --dtype fp32 --out debian-fp32.json

The sides take turns, each in a process of its own: it warms up, makes a whole pass over the same fixed pairs, and ends.
So all sides meet the same machine, steps of unlike length are compared as sums, and each side's peak memory is its
own. All sides train the same LoRA on the same weights in the same
dtype with the same batch, AdamW, no gradient checkpointing, length-grouped. TRL has no reference pass to make: CPO's
hinge has no reference, and DPO's is given zeros in place of log-probabilities.

In the same run the machine's matmul rate at the model's own shapes is measured, and plad's share of it reported: FLOPs
that the gradient needs (2 a weight and token forward, 2 back through frozen weights, the head at response positions)
by time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SIDES = ("plad", "trl-cpo", "trl-dpo")
ANSWER = "ANSWER "
BATCH, MARGIN, MAX_PROMPT, MAX_RESPONSE = 8, 1.0, 512, 128
LORA = {"r": 8, "lora_alpha": 32, "lora_dropout": 0.1, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--model", default="models/smollm2-135m-instruct", help="a folder, or 'tiny' for random weights"
    )
    options.add_argument("--task", choices=["debian", "chitchat"], default="debian")
    options.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    options.add_argument("--pairs", type=int, default=64)
    options.add_argument("--passes", type=int, default=1)
    options.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    options.add_argument("--device-tokens", type=int, default=2048, help="plad's micro-batch")
    options.add_argument(
        "--accumulate", type=int, default=1, help="parts of TRL's step, where a whole one does not fit into memory"
    )
    options.add_argument("--profile", action="store_true", help="one pass more of plad, by kind of work")
    options.add_argument("--out", type=Path)
    options.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    options.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve(given)
    else:
        compare(given)


def compare(given: argparse.Namespace) -> None:
    """The parent: make the pairs, give each side its turns, and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch, "pairs.json")
        data.write_text(json.dumps(pairs_of(given.task, given.pairs)))
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in given.sides}
        for _ in range(given.passes):
            for name in given.sides:
                found[name].append(turn(name, data))
                print(f"{name}: {sum(found[name][-1]['steps']):.1f} s", file=sys.stderr, flush=True)
    rate = statistics.median(one["matmul"] for passes in found.values() for one in passes)
    show(given, {name: summary(given, passes, rate) for name, passes in found.items()}, rate)


def turn(side: str, data: Path) -> dict[str, Any]:
    """One warm-up and one pass of one side, in a process that ends with it."""
    command = [sys.executable, __file__, *sys.argv[1:], "--serve", side, "--data", str(data)]
    quiet = {
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "PYTHONWARNINGS": "ignore",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TQDM_DISABLE": "1",
    }
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | quiet, check=False)
    answers = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if not answers:
        raise SystemExit(f"{side} ended with {done.returncode} before it had made its pass")
    return json.loads(answers[-1].removeprefix(ANSWER))


def serve(given: argparse.Namespace) -> None:
    """A side: warm up on two steps, make a pass, and tell what was measured."""
    rows = json.loads(given.data.read_text())
    trainer_of = {"plad": plad_trainer, "trl-cpo": trl_cpo, "trl-dpo": trl_dpo}[given.serve]
    model, tokenizer = load(given)
    timed_pass(trainer_of(model, tokenizer, rows, given, 2))
    answer = timed_pass(trainer_of(model, tokenizer, rows, given, None))
    answer |= {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    answer |= {"matmul": matmul_rate(model, given)}
    if given.serve == "plad":
        answer |= {"needed_flops": needed_flops(model, tokenizer, rows)}
        if given.profile:
            answer |= {"time_by": time_by(trainer_of(model, tokenizer, rows, given, None))}
    print(ANSWER + json.dumps(answer), flush=True)


def timed_pass(trainer: Any) -> dict[str, Any]:
    """Seconds of each optimiser step of a training."""
    from transformers import TrainerCallback

    steps: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.append(time.perf_counter() - self.started)

    trainer.add_callback(Clock())
    trainer.train()
    return {"steps": steps, "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]}


KINDS = {
    "matrix products": ("mm", "addmm", "addmm_", "bmm", "baddbmm", "linear"),
    "attention's kernel": (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "softmax": ("_softmax", "_softmax_backward_data", "_log_softmax", "exp_", "logsumexp"),
    "dropout": ("random_", "bernoulli_", "bitwise_and", "bitwise_right_shift", "bitwise_right_shift_"),
    "casts and copies": ("copy_", "_to_copy", "to", "clone", "contiguous", "cat", "index", "empty_strided"),
    "optimiser": ("_fused_adamw_",),
}


def time_by(trainer: Any) -> dict[str, float]:
    """Shares of a pass by kind of work: torch's own times of its operators, each without those that it calls."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        timed_pass(trainer)
    shares = dict.fromkeys([*KINDS, "the rest, element by element"], 0.0)
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    events = seen.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    for event in events:
        shares[kind_of.get(event.key, "the rest, element by element")] += event.self_cpu_time_total / total
    return {kind: round(share, 3) for kind, share in shares.items()}


def load(given: argparse.Namespace) -> tuple[Any, Any]:
    """Both sides' model, with a LoRA adapter that begins with the same numbers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = "models/smollm2-135m-instruct" if given.model == "tiny" else given.model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    if given.model == "tiny":
        shape = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **shape))
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return get_peft_model(model, LoraConfig(**LORA)), tokenizer


def settings(given: argparse.Namespace, max_steps: int | None, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": tempfile.mkdtemp(prefix="bench-"),
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": 1,
        "max_steps": max_steps or -1,
        "learning_rate": 1e-5,
        "max_grad_norm": 0,
        "bf16": given.dtype == "bf16",
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 1,
        **more,
    }


def plad_trainer(model: Any, tokenizer: Any, rows: list[Any], given: argparse.Namespace, max_steps: int | None) -> Any:
    from datasets import Dataset
    from transformers import TrainingArguments

    from plad import PladTrainer, PromptFormat, RankingCalibration

    return PladTrainer(
        model,
        TrainingArguments(**settings(given, max_steps)),
        Dataset.from_list(rows),
        processing_class=tokenizer,
        loss=RankingCalibration(margin=MARGIN),
        prompt_format=PromptFormat(max_prompt_tokens=MAX_PROMPT, max_response_tokens=MAX_RESPONSE, too_long="truncate"),
        device_tokens=given.device_tokens,
    )


def trl_cpo(model: Any, tokenizer: Any, rows: list[Any], given: argparse.Namespace, max_steps: int | None) -> Any:
    """`b·max(0, 1/b − Δ)` at β = 1/margin: the ranking hinge on summed log-likelihoods."""
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    config = CPOConfig(
        **settings(given, max_steps, **grouped(given)),
        loss_type="hinge",
        cpo_alpha=0.0,
        beta=1 / MARGIN,
        max_length=MAX_PROMPT + MAX_RESPONSE,
    )
    return CPOTrainer(
        model, config, train_dataset=Dataset.from_list(with_length(rows, tokenizer)), processing_class=tokenizer
    )


def trl_dpo(model: Any, tokenizer: Any, rows: list[Any], given: argparse.Namespace, max_steps: int | None) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class ZeroReference(DPOTrainer):
        """Spared the pass that would compute them."""

        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            for column in ("ref_chosen_logps", "ref_rejected_logps"):
                dataset = dataset.add_column(column, [0.0] * len(dataset))
            return dataset

    if "ref" in model.peft_config:  # that of the pass before
        model.delete_adapter("ref")
    config = DPOConfig(
        **settings(given, max_steps, **grouped(given)),
        loss_type=["hinge"],
        beta=1 / MARGIN,
        precompute_ref_log_probs=True,
        max_length=MAX_PROMPT + MAX_RESPONSE,
    )
    data = Dataset.from_list(with_length(rows, tokenizer))
    return ZeroReference(model, args=config, train_dataset=data, processing_class=tokenizer)


def grouped(given: argparse.Namespace) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": BATCH // given.accumulate,
        "gradient_accumulation_steps": given.accumulate,
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        "remove_unused_columns": False,
    }


def with_length(rows: list[Any], tokenizer: Any) -> list[Any]:
    def tokens(text: str) -> int:
        return len(tokenizer(text)["input_ids"])

    return [row | {"length": sum(tokens(row[name]) for name in ("prompt", "chosen", "rejected"))} for row in rows]


def pairs_of(task: str, count: int) -> list[dict[str, str]]:
    """Prompts with their reference over another prompt's: texts of real length, whatever they are worth."""
    from plad.data import SOURCES
    from plad.records import as_text

    prompts = list(sample(SOURCES[task]().prompts(), count + 1))
    return [
        {"prompt": as_text(p.prompt) + "\n\n", "chosen": p.reference or "", "rejected": q.reference or ""}
        for p, q in itertools.pairwise(prompts)
    ]


def sample(items: Iterator[Any], count: int) -> list[Any]:
    return random.Random(0).sample(list(items), count)


def needed_flops(model: Any, tokenizer: Any, rows: list[Any]) -> float:
    """Of one pass: every token of a prompt once, the head where a response token is predicted, no padding."""
    from plad import PromptFormat

    formatter = PromptFormat(max_prompt_tokens=MAX_PROMPT, max_response_tokens=MAX_RESPONSE, too_long="truncate").bind(
        tokenizer
    )
    answers = sum(len(formatter.response_ids(row[name])) for row in rows for name in ("chosen", "rejected"))
    tokens = answers + sum(len(formatter.prompt_ids(row["prompt"])) for row in rows)
    base = model.get_base_model()
    head = base.get_output_embeddings().weight.numel()
    body = sum(
        p.numel() for n, p in base.named_parameters() if "lora" not in n and "embed" not in n and "lm_head" not in n
    )
    adapter = sum(p.numel() for p in base.parameters() if p.requires_grad)
    return float(4 * body * tokens + 6 * adapter * tokens + 4 * head * answers)


def matmul_rate(model: Any, given: argparse.Namespace) -> float:
    """FLOP/s of products with the model's own matrices, of as many rows as a micro-batch has."""
    import torch

    dtype = torch.bfloat16 if given.dtype == "bf16" else torch.float32
    layer = model.get_base_model().base_model.layers[0]
    matrices = [p.detach().to(dtype) for n, p in layer.named_parameters() if p.dim() == 2 and "lora" not in n]
    inputs = [torch.randn(given.device_tokens, matrix.shape[1], dtype=dtype) for matrix in matrices]
    work = sum(2 * x.shape[0] * m.numel() for x, m in zip(inputs, matrices, strict=True))
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        for x, matrix in zip(inputs, matrices, strict=True):
            torch.nn.functional.linear(x, matrix)
        seconds.append(time.perf_counter() - started)
    return work / statistics.median(seconds[5:])


def summary(given: argparse.Namespace, passes: list[dict[str, Any]], rate: float) -> dict[str, Any]:
    totals = [sum(one["steps"]) for one in passes]
    steps = [step for one in passes for step in one["steps"]]
    told = {
        "pairs_per_second": given.pairs / statistics.median(totals),
        "median_step": statistics.median(steps),
        "longest_step": max(steps),
        "steps": len(steps),
        "peak_gb": max(one["peak_gb"] for one in passes),
        "first_loss": passes[0]["losses"][0],
    }
    if "time_by" in passes[0]:
        told["time_by"] = passes[0]["time_by"]
    if "needed_flops" in passes[0]:
        told["matmul_share"] = passes[0]["needed_flops"] / statistics.median(totals) / rate
    return told


def show(given: argparse.Namespace, found: dict[str, dict[str, Any]], rate: float) -> None:
    report = {
        "model": given.model,
        "task": given.task,
        "dtype": given.dtype,
        "pairs": given.pairs,
        "batch": BATCH,
        "accumulate": given.accumulate,
        "matmul_gflops": rate / 1e9,
        "sides": found,
    }
    print(
        f"{given.model}, {given.task}, {given.dtype}, {given.pairs} pairs in steps of {BATCH}; "
        f"matmul {rate / 1e9:.0f} GFLOP/s"
    )
    for name, told in found.items():
        line = f"{name:<8} {told['pairs_per_second']:7.3f} pairs/s  median step {told['median_step']:6.2f} s"
        line += f"  longest {told['longest_step']:6.2f} s  peak {told['peak_gb']:5.2f} GB"
        if name != "plad" and "plad" in found:
            ours = found["plad"]
            line += f"  plad is {ours['pairs_per_second'] / told['pairs_per_second']:.2f}x as fast"
            line += f" at {ours['peak_gb'] / told['peak_gb']:.2f}x the memory"
        if "matmul_share" in told:
            line += f"  {100 * told['matmul_share']:.0f} % of the matmul rate"
        print(line)
        for kind, share in told.get("time_by", {}).items():
            print(f"           {100 * share:5.1f} %  {kind}")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
