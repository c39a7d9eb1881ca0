"""Peak memory of a training step by what a recipe can set, each setting in a process of its own, side by side.

    pip install -e '.[qlora]' && python benchmarks/training_memory.py --out memory.json

Preference training of a decoder with random weights on pairs of random tokens, one optimiser step. `weights` are the
bytes of the model's parameters; `peak` is the most that the process held while it trained, beyond what it held before
it had a model: weights, gradients, moments, activations. Ratios are to the first row. On a processor by Linux's mark of
resident memory, so without CUDA's own reserves.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PLAIN: dict[str, Any] = {"lora": True, "device_tokens": None, "gradient_checkpointing": False}
SETTINGS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "lora: null": {"lora": False},
    "device_tokens: half of the batch": {"device_tokens": 0.5},
    "device_tokens: an eighth": {"device_tokens": 0.125},
    "gradient_checkpointing": {"gradient_checkpointing": True},
    "gradient_checkpointing, an eighth": {"gradient_checkpointing": True, "device_tokens": 0.125},
    "quantise: 8bit": {"quantise": "8bit"},
    "quantise: 4bit": {"quantise": "4bit"},
    "quantise: 4bit, checkpointing, an eighth": {
        "quantise": "4bit",
        "gradient_checkpointing": True,
        "device_tokens": 0.125,
    },
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--width", type=int, default=384)
    options.add_argument("--layers", type=int, default=8)
    options.add_argument("--pairs", type=int, default=4)
    options.add_argument("--prompt", type=int, default=96, help="tokens")
    options.add_argument("--response", type=int, default=24, help="tokens")
    options.add_argument("--rows", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    options.add_argument("--out", type=Path)
    options.add_argument("--serve", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        print(json.dumps(measured(given, PLAIN | SETTINGS[given.serve])))
        return
    found: dict[str, dict[str, float]] = {}
    for name in given.rows:
        row = found[name] = alone(given, name)
        ratios = {key: row[key] / found[given.rows[0]][key] for key in ("weights", "peak", "seconds")}
        told = "".join(f"  {key} {row[key]:8.1f} ({ratios[key]:4.2f})" for key in ratios)
        print(f"{name:<42}{told}", flush=True)
    if given.out:
        told = {key: value for key, value in vars(given).items() if key not in ("out", "serve")}
        given.out.write_text(json.dumps({"options": told, "rows": found}, indent=1) + "\n")


def alone(given: argparse.Namespace, name: str) -> dict[str, float]:
    """One setting in a process that has done nothing else."""
    sizes = [f"--{key}={getattr(given, key)}" for key in ("width", "layers", "pairs", "prompt", "response")]
    command = [sys.executable, __file__, *sizes, "--serve", name]
    quiet = os.environ | {"TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=quiet)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(given: argparse.Namespace, settings: dict[str, Any]) -> dict[str, float]:
    """Megabytes and seconds of one step."""
    from plad.losses import RankingCalibration
    from plad.models import Lora, ScratchModel
    from plad.models.quantise import quantised
    from plad.training.examples import Examples
    from plad.training.layout import Example
    from plad.training.memory import peak_memory
    from plad.training.run import Optimisation, train

    tokenizer = ScratchModel(vocabulary=320).tokenizer(["any words"])
    examples = Examples(pairs(given))
    tokens = sum(examples.tokens)
    share = settings["device_tokens"]
    optimisation = Optimisation(
        max_steps=1,
        batch_size=given.pairs,
        device_tokens=round(share * tokens) if share else None,
        gradient_checkpointing=settings["gradient_checkpointing"],
    )

    def step(width: int, layers: int, some: Examples) -> tuple[Any, float, int]:
        model = ScratchModel(width=width, layers=layers, heads=8, vocabulary=4096).model(padded(tokenizer), 0)
        if settings.get("quantise"):
            model = quantised(model, settings["quantise"], "cpu")
        if settings["lora"]:
            model = Lora(dropout=0.0).wrap(model, "nowhere")
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what a model held before it was quantised goes back to the system
        with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
            started = time.perf_counter()
            train(model, tokenizer, some, RankingCalibration(), optimisation, Path(folder), seed=0)
            seconds = time.perf_counter() - started
        return model, seconds, peak[0] or 0

    step(64, 1, Examples([Example([3, 4], [[5], [6]])] * 2))  # libraries load, which is not to be counted
    before = resident()
    model, seconds, peak = step(given.width, given.layers, examples)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {"weights": weights / 1e6, "peak": (peak - before) / 1e6, "seconds": seconds}


def pairs(given: argparse.Namespace) -> list[Any]:
    """Random tokens."""
    from plad.training.layout import Example

    draw = random.Random(0)

    def ids(count: int) -> list[int]:
        return [draw.randrange(3, 300) for _ in range(count)]

    return [Example(ids(given.prompt), [ids(given.response), ids(given.response)]) for _ in range(given.pairs)]


def padded(tokenizer: Any) -> Any:
    """With as many words as a vocabulary has: a head of usual size beside few layers."""
    tokenizer.add_tokens([f"<{n}>" for n in range(4096 - len(tokenizer))])
    return tokenizer


def resident() -> int:
    """Bytes that this process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1024 * int(found[1])


if __name__ == "__main__":
    main()
