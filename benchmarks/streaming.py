"""Memory and time against the number of prompts, from the file of a task to the report, side by side.

    OMP_NUM_THREADS=1 python benchmarks/streaming.py --sizes 10000,100000,1000000 --out docs/benchmarks/streaming

Writes OUT.json after each size. Each size has a process of its own, which first runs 500 prompts, so that libraries are
loaded and warm; what it holds then is the baseline. Stages: `prepare` (with near-duplicates, unless `--exact`), `sft`,
`sample` (both models; a generator that answers at once, through the store of generations), `pair`, `distill` (all pairs
tokenised, and one step), `evaluate` (a fiftieth of the prompts, by three models, judged by ROUGE) and `report`. Of each
the peak of the resident set above the baseline is told, what a prompt adds to it, and seconds of the process.

With `--against FOLDER` another checkout of plad does the same beside the smallest size: the ratio of its seconds to
these is told, and whether all files but the report, which names versions, are equal.
"""

from __future__ import annotations

import argparse
import hashlib
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

STAGES = ("prepare", "sft", "sample", "pair", "distill", "evaluate", "report")
FILES = ("data/*", "generations/*", "pairs.*", "evaluation/*")

RECIPE = """\
name: streaming
task:
  source: {type: table, path: DATA}
  splits: {near_duplicates: NEAR, validation: 0.08, test: 0.02, max_validation: 100}
prompt: {max_prompt_tokens: 128, max_response_tokens: 32}
teacher: {model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 400}, sft: {max_steps: 1, batch_size: 4}}
student: {model: {type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 400}, sft: {max_steps: 1, batch_size: 4}}
sample: {max_new_tokens: 8}
distill: {max_steps: 1, batch_size: 4}
baselines: {sft: null, seqkd: null}
evaluate: {judge: {type: rouge}, calibration: null}
"""


class AtOnce:
    """Answers by four of the prompt's own words: the teacher with the first, the student with the last."""

    def __init__(self, name: str):
        self.name, self.identity = name, {"stub": name}

    def rendered(self, prompt: Any) -> str:
        """The text."""
        return str(prompt.text)

    def generate(self, prompts: Sequence[Any], sampling: Any, seed: int, done: Any = ()) -> Iterator[Any]:
        """One answer a prompt."""
        from plad.records import Generation

        part = {"teacher": slice(0, 4), "student": slice(-4, None)}.get(self.name, slice(4, 8))
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
        started, worked = time.perf_counter(), time.process_time()
        run(load_recipe(folder / "recipe.yaml"), folder / "run", Silent(), only=stage)
        found[stage] = {"peak": memory("VmHWM"), "seconds": round(time.perf_counter() - started, 1)}
        found[stage]["cpu"] = round(time.process_time() - worked, 1)
    return found


def digest(folder: Path) -> str:
    """Of all files that stages made for one another."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in FILES for path in folder.glob(pattern) if path.is_file()):
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


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
        files = digest(Path(scratch, "size", "run"))
    above = {name: {**one, "above": max(0, one["peak"] - baseline)} for name, one in stages.items()}
    return {"prompts": count, "baseline": baseline, "stages": above, "files": files}


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Megabytes above the baseline, the ratio of peaks to those of the smallest size, and bytes a further prompt.

    Seconds are those of the process on all cores; beside another checkout, how many times as many that one took.
    """
    heads = ("MB above", "peak ratio", "B a prompt", "CPU s", "CPU ms a prompt", "against")
    first, lines = found[0], [f"{'prompts':>9} {'stage':>8} " + " ".join(f"{head:>10}" for head in heads)]
    for one in found:
        for stage, values in one["stages"].items():
            before, more = first["stages"][stage], one["prompts"] - first["prompts"]
            added = (values["above"] - before["above"]) / more if more else float("nan")
            ratio = (one["baseline"] + values["above"]) / (one["baseline"] + before["above"])
            cells = [f"{values['above'] / 1e6:>10.1f} {ratio:>10.2f} {added:>10.0f} {values['cpu']:>10.1f}"]
            cells.append(f"{1000 * values['cpu'] / one['prompts']:>15.3f}")
            if other := one.get("against"):
                cells.append(f"{other['stages'][stage]['cpu'] / max(values['cpu'], 0.1):>10.2f}")
            lines.append(f"{one['prompts']:>9,} {stage:>8} {' '.join(cells)}")
        if other := one.get("against"):
            lines.append(f"{one['prompts']:>9,} files equal: {other['files'] == one['files']}")
    return "\n".join(lines)


def measure(size: int, exact: bool, checkout: Path | None) -> dict[str, Any]:
    """One size in a process of its own, with the package of another checkout where one is named."""
    command = [sys.executable, __file__, "--one", str(size), *(["--exact"] if exact else [])]
    environment = {**os.environ, **({"PYTHONPATH": str(checkout.resolve())} if checkout else {})}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--exact", action="store_true", help="drop exact duplicates alone")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout, beside the first size")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, "null" if options.exact else "0.7")))
        return
    found = []
    for size in map(int, options.sizes.split(",")):
        found.append(measure(size, options.exact, None))
        if options.against and len(found) == 1:
            found[-1]["against"] = measure(size, options.exact, options.against)
        print(table(found), flush=True)
        if options.out:
            about = json.dumps({"exact": options.exact, "sizes": found}, indent=1)
            options.out.with_suffix(".json").write_text(about + "\n")


if __name__ == "__main__":
    main()
