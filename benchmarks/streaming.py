"""Memory against the number of prompts, from the file of a task to the first step of training, side by side.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py --sizes 10000,100000,1000000 --out docs/benchmarks/streaming

Writes OUT.json. Each size has a process of its own, which first runs 500 prompts, so that libraries are loaded and
warm; what it holds then is the baseline. Stages: `prepare` (with near-duplicates, unless `--exact`), `sft`, `sample`
(both models; a generator that answers at once, through the store of generations), `pair`, and `distill`: all pairs
tokenised, and one step. Of each the peak of the resident set above the baseline is told, and what a prompt adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STAGES = ("prepare", "sft", "sample", "pair", "distill")

RECIPE = """\
name: streaming
task:
  source: {type: table, path: DATA}
  splits: {near_duplicates: NEAR, max_validation: 100, max_test: 100}
prompt: {max_prompt_tokens: 128, max_response_tokens: 32}
teacher: {model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 400}, sft: {max_steps: 1, batch_size: 4}}
student: {model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 400}, sft: {max_steps: 1, batch_size: 4}}
sample: {max_new_tokens: 8}
distill: {max_steps: 1, batch_size: 4}
baselines: {sft: null, seqkd: null}
evaluate: {judge: {type: rouge}}
"""


class AtOnce:
    """Answers by the prompt's own words: the teacher with the first, the student with the last."""

    def __init__(self, name: str):
        self.name, self.identity = name, {"stub": name}

    def rendered(self, prompt: Any) -> str:
        """The text."""
        return str(prompt.text)

    def generate(self, prompts: Sequence[Any], sampling: Any, seed: int, done: Any = ()) -> Iterator[Any]:
        """One answer a prompt."""
        from plad.records import Generation

        part = slice(0, 4) if self.name == "teacher" else slice(-4, None)
        for prompt in prompts:
            yield Generation(prompt.id, " ".join(prompt.text.split()[part]), tokens=5)


def write_task(path: Path, count: int) -> None:
    """So many prompts of 24 words of four letters, of which no two are near-duplicates."""
    rng = random.Random(0)
    with path.open("w") as lines:
        for _ in range(count):
            words = ["".join(rng.choices("abcdefghij", k=4)) for _ in range(24)]
            lines.write(json.dumps({"prompt": " ".join(words), "reference": " ".join(words[:4])}) + "\n")


def worked(folder: Path, count: int, near: str) -> dict[str, dict[str, float]]:
    """Peak in bytes and seconds of each stage."""
    from plad.answers import Answering
    from plad.config import load_recipe
    from plad.pipeline import run
    from plad.progress import Silent

    Answering._generator = lambda self, run, recipe, name, dtype: AtOnce(name)  # type: ignore[method-assign]
    folder.mkdir()
    write_task(folder / "data.jsonl", count)
    (folder / "recipe.yaml").write_text(RECIPE.replace("DATA", str(folder / "data.jsonl")).replace("NEAR", near))
    os.environ["PLAD_CACHE"] = str(folder / "store")
    found = {}
    for stage in STAGES:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        started = time.perf_counter()
        run(load_recipe(folder / "recipe.yaml"), folder / "run", Silent(), only=stage)
        found[stage] = {"peak": memory("VmHWM"), "seconds": round(time.perf_counter() - started, 1)}
    return found


def memory(what: str) -> int:
    """Bytes, as the kernel counts them for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def measured(count: int, near: str) -> dict[str, Any]:
    """One size, in this process."""
    with TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        worked(Path(scratch, "warm"), 500, near)
        baseline = memory("VmRSS")
        stages = worked(Path(scratch, "size"), count, near)
    above = {name: {**one, "above": max(0, one["peak"] - baseline)} for name, one in stages.items()}
    return {"prompts": count, "baseline": baseline, "stages": above}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Megabytes above the baseline, the ratio of peaks to those of the smallest size, and bytes a further prompt."""
    first, lines = (
        found[0],
        [f"{'prompts':>9} {'stage':>8} {'MB above':>9} {'peak ratio':>10} {'B a prompt':>10} {'s':>7}"],
    )
    for one in found:
        for stage, values in one["stages"].items():
            before = first["stages"][stage]
            more = one["prompts"] - first["prompts"]
            added = (values["above"] - before["above"]) / more if more else float("nan")
            ratio = (one["baseline"] + values["above"]) / (one["baseline"] + before["above"])
            lines.append(
                f"{one['prompts']:>9,} {stage:>8} {values['above'] / 1e6:>9.1f} {ratio:>10.2f} {added:>10.0f} "
                f"{values['seconds']:>7.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--exact", action="store_true", help="drop exact duplicates alone")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, "null" if options.exact else "0.7")))
        return
    found = []
    for size in map(int, options.sizes.split(",")):
        command = [sys.executable, __file__, "--one", str(size), *(["--exact"] if options.exact else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(table(found), flush=True)
    if options.out:
        options.out.with_suffix(".json").write_text(
            json.dumps({"exact": options.exact, "sizes": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
