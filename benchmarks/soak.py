"""Whole runs one after another in one process: whether memory and open files stay where they are.

    OMP_NUM_THREADS=2 python benchmarks/soak.py --minutes 30 --out docs/benchmarks/soak

Writes OUT.json. Each run is of every stage, with tiny models and a seed of its own, in a folder that is deleted behind
it. After each the process's memory (resident set), its open files and its threads are noted. The first `--warm-up` runs
are left out of the verdict: libraries load parts and keep caches. Memory is flat where a line through the other runs
(least squares) rises by less than `--percent` of its beginning over all of them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch

from plad.config import Recipe, load_recipe
from plad.pipeline import run
from plad.progress import Silent

RECIPE = """\
name: soak
task:
  source: {type: table, path: DATA}
  splits: {near_duplicates: null}
prompt: {max_prompt_tokens: 64, max_response_tokens: 24}
teacher:
  model: {type: scratch, width: 32, layers: 2, heads: 2, vocabulary: 400}
  sft: {max_steps: 60, batch_size: 8, learning_rate: 1.0e-2, checkpoint_every: 20}
student:
  model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 400}
  sft: {max_steps: 40, batch_size: 8, learning_rate: 1.0e-2, checkpoint_every: 20}
sample: {max_new_tokens: 24, batch_size: 16}
distill: {max_steps: 20, batch_size: 8, checkpoint_every: 10}
evaluate: {judge: {type: rouge}}
"""


@dataclass(frozen=True)
class Reading:
    """The process after a run; `minutes` since the beginning, `memory` in bytes."""

    minutes: float
    memory: int
    files: int
    threads: int


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--warm-up", type=int, default=3)
    options.add_argument("--percent", type=float, default=5)
    options.add_argument("--out", type=Path, default=Path("soak"))
    given = options.parse_args()
    readings = soak(given.minutes)
    found = verdict(readings[given.warm_up :], given.percent) | {
        "processors": len(os.sched_getaffinity(0)),
        "threads_of_torch": torch.get_num_threads(),
        "warm_up": given.warm_up,
        "readings": [asdict(reading) for reading in readings],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key != "readings"}))


def soak(minutes: float) -> list[Reading]:
    """A reading after each run; as many runs as begin within the time, two at least."""
    readings: list[Reading] = []
    started = time.monotonic()
    with TemporaryDirectory(prefix="plad-soak-") as scratch:
        os.environ["PLAD_CACHE"] = str(Path(scratch, "store"))
        recipe = write_recipe(Path(scratch))
        while len(readings) < 2 or time.monotonic() - started < 60 * minutes:
            folder = Path(scratch, "run")
            run(recipe.model_copy(update={"seed": len(readings) + 1}), folder, Silent())
            shutil.rmtree(folder)
            readings.append(read((time.monotonic() - started) / 60))
            print(json.dumps(asdict(readings[-1])), flush=True)
    return readings


def write_recipe(folder: Path) -> Recipe:
    """A task of 200 made-up prompts."""
    rows = [{"prompt": f"box {n} in room {n % 17}", "reference": f"room {n % 17}"} for n in range(200)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE.replace("DATA", str(data)))
    return load_recipe(folder / "recipe.yaml")


def read(minutes: float) -> Reading:
    gc.collect()
    process = psutil.Process()
    return Reading(round(minutes, 2), process.memory_info().rss, process.num_fds(), process.num_threads())


def verdict(readings: list[Reading], percent: float) -> dict[str, Any]:
    """The growth over all readings, and whether that is none to speak of."""
    memory = np.array([reading.memory for reading in readings], dtype=float)
    slope, start = np.polyfit(np.arange(len(memory)), memory, 1) if len(memory) > 1 else (0.0, memory.mean())
    growth = 100 * slope * (len(memory) - 1) / start
    files = [reading.files for reading in readings]
    return {
        "runs": len(readings),
        "memory_growth_percent": round(float(growth), 2),
        "memory_growth_bytes_a_run": round(float(slope)),
        "files": [min(files), max(files)],
        "flat": bool(growth < percent and files[-1] <= files[0]),
    }


if __name__ == "__main__":
    main()
