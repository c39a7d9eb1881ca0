"""Sampling: plad's `hf` backend against plain `generate` over unsorted batches of the same size, interleaved, one run.

python benchmarks/generation.py --model FOLDER [--prompts 512] [--batch 64] [--new 32] [--threads 2]

The prompts are descriptions of Debian packages. Sides take turns, a batch each, so that whatever else the machine does
meets both. Plain: left padding, KV cache, fp32, until the last row of a batch has ended. Every side draws greedily, so
that the answers can be compared: how many are equal is printed beside the time. Further engines (`--engines vllm,ray`)
follow on the same prompts, one after another, for they hold threads and memory of their own; Ray's time has the loading
of the model in its worker in it. On a processor vLLM wants VLLM_CPU_OMP_THREADS_BIND=0-1 and VLLM_CPU_KVCACHE_SPACE=1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from plad.data.debian import Debian
from plad.generation import ENGINES, HFGenerator, Sampling
from plad.models import PromptFormat
from plad.models.load import load_folder
from plad.models.prompts import Formatter
from plad.records import Generation, Prompt

FORMAT = PromptFormat(chat=True, template="Describe this package in one line.\n\n{prompt}", max_prompt_tokens=512)


def plain(
    model: Any, formatter: Formatter, prompts: list[Prompt], sampling: Sampling, batch: int
) -> Iterator[Generation]:
    """`generate` as its documentation shows it."""
    settings = GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,
        eos_token_id=formatter.end_id,
        pad_token_id=formatter.end_id,
    )
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        ids = [formatter.prompt_ids(prompt.prompt) for prompt in some]
        width = max(map(len, ids))
        tokens = torch.tensor([[formatter.end_id] * (width - len(row)) + row for row in ids])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
        with torch.inference_mode():
            new = model.generate(input_ids=tokens, attention_mask=mask, generation_config=settings)[:, width:]
        for prompt, row in zip(some, new.tolist(), strict=True):
            text, finished = formatter.decode(row)
            length = row.index(formatter.end_id) + 1 if finished else len(row)
            yield Generation(prompt.id, text, finished, tokens=length)


def take_turns(sides: dict[str, Iterator[Generation]], batch: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds and answers of each side. Each turn draws up to a batch from each, in changing order."""
    seconds, answers = dict.fromkeys(sides, 0.0), {name: {} for name in sides}  # type: ignore[var-annotated]
    going, turn = list(sides), 0
    while going:
        for name in list(going[turn % len(going) :] + going[: turn % len(going)]):
            started, drawn = time.perf_counter(), 0
            while drawn < batch and (generation := next(sides[name], None)) is not None:
                answers[name][generation.id] = generation
                drawn += 1
            seconds[name] += time.perf_counter() - started
            if drawn < batch:
                going.remove(name)
        turn += 1
        print(f"  turn {turn}: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in sides), flush=True)
    return seconds, answers


def independent(
    generate: Callable[[int], HFGenerator], prompts: list[Prompt], sampling: Sampling, sizes: tuple[int, ...]
) -> None:
    """How many answers depend on the size of the batch (fp32, greedy)."""
    found = [{g.id: g for g in generate(size).generate(prompts, sampling, seed=0)} for size in sizes]
    equal = sum(len({answers[prompt.id] for answers in found}) == 1 for prompt in prompts)
    print(f"equal in batches of {', '.join(map(str, sizes))}: {equal} of {len(prompts)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--engines", default="", help="vllm, ray")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    sampling = Sampling(temperature=0, max_new_tokens=chosen.new)
    models = {dtype: load_folder(chosen.model, dtype)[0].eval() for dtype in ("float32", "bfloat16")}
    formatter = FORMAT.bind(load_folder(chosen.model)[1])
    fitting = (prompt for prompt in Debian().prompts() if formatter.fits(prompt.prompt))
    prompts = [prompt for prompt, _ in zip(fitting, range(chosen.prompts), strict=False)]
    for model in models.values():  # a first pass that counts for nothing
        list(HFGenerator(model, formatter).generate(prompts[:4], sampling, 0))
    sides = {"plain": plain(models["float32"], formatter, prompts, sampling, chosen.batch)}
    for dtype, model in models.items():
        sides[f"hf {dtype}"] = HFGenerator(model, formatter, chosen.batch, 10**9).generate(prompts, sampling, 0)
    seconds, answers = take_turns(sides, chosen.batch)
    for name in chosen.engines.split(",") if chosen.engines else []:
        generator = ENGINES[name]().generator(chosen.model, FORMAT, "bfloat16", chosen.batch)
        started = time.perf_counter()
        answers[name] = {g.id: g for g in generator.generate(prompts, sampling, 0)}
        seconds[name] = time.perf_counter() - started
    for name, spent in seconds.items():
        tokens = sum(g.tokens for g in answers[name].values())
        same = sum(answers["plain"][p.id].response == answers[name][p.id].response for p in prompts)
        print(
            f"{name:14} {spent:8.1f} s  {tokens / spent:7.1f} tokens/s  {seconds['plain'] / spent:5.2f} × plain  "
            f"same answer as plain: {same} of {len(prompts)}"
        )
    some = prompts[:: max(1, len(prompts) // 48)]
    independent(lambda size: HFGenerator(models["float32"], formatter, size), some, sampling, (1, 7, chosen.batch))


if __name__ == "__main__":
    main()
