"""How the time of a training step grows with the prompt and with the number of responses, prompts shared and not.

    python benchmarks/step_scaling.py --out docs/benchmarks/step-scaling

Writes OUT.json and OUT.svg. Forward and backward pass of `--examples` prompts under LoRA, median of `--repeats`, the
two layouts in turns. The plain layout, which copies the prompt for every response, is measured up to `--plain-up-to`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from plad.losses import RankingCalibration
from plad.models.load import load_folder
from plad.models.lora import Lora
from plad.training.layout import DecoderLayout, Example
from plad.training.likelihood import choose_layout, sequences

RESPONSE = 16


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", type=Path, default=Path("models/smollm2-135m-instruct"))
    options.add_argument("--prompts", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048])
    options.add_argument("--responses", type=int, nargs="+", default=[2, 3, 5])
    options.add_argument("--examples", type=int, default=2)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--plain-up-to", type=int, default=1024)
    options.add_argument("--out", type=Path, default=Path("step-scaling"))
    given = options.parse_args()
    model, _ = load_folder(given.model)
    torch.manual_seed(0)
    model = Lora().wrap(model, str(given.model)).train()
    shared = choose_layout(model, 0)
    assert isinstance(shared, DecoderLayout)
    assert shared.share_prefix, "the model cannot share prompts, so that there is nothing to compare"
    rows = []
    for length in given.prompts:
        for responses in given.responses:
            layouts = {"shared": shared}
            if length <= given.plain_up_to:
                layouts["plain"] = DecoderLayout(0, share_prefix=False)
            rows.append(measure(model, layouts, length, responses, given))
            print(json.dumps(rows[-1]), flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    plot(rows, given)


def measure(model: Any, layouts: dict[str, DecoderLayout], length: int, responses: int, given: Any) -> dict[str, Any]:
    draw = random.Random(length)

    def ids(count: int) -> list[int]:
        return [draw.randrange(10, 40_000) for _ in range(count)]

    examples = [Example(ids(length), [ids(RESPONSE) for _ in range(responses)]) for _ in range(given.examples)]
    batches = {name: layout(examples) for name, layout in layouts.items()}
    seconds: dict[str, list[float]] = {name: [] for name in layouts}
    for _ in range(given.repeats + 1):
        for name, batch in batches.items():
            started = time.perf_counter()
            # The first two responses make the pair; the others are along to be scored.
            scored = sequences(model, batch)
            (RankingCalibration()(scored_pair(scored)).loss + scored.token_logps_BRT.mean()).backward()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    return {"prompt": length, "responses": responses, "examples": given.examples, **medians}


def scored_pair(scored: Any) -> Any:
    return type(scored)(scored.token_logps_BRT[:, :2], scored.lengths_BR[:, :2])


def plot(rows: list[dict[str, Any]], given: Any) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    for n, responses in enumerate(given.responses):
        for name, style in (("shared", "-"), ("plain", "--")):
            some = [row for row in rows if row["responses"] == responses and name in row]
            axes.plot(
                [row["prompt"] for row in some],
                [row[name] for row in some],
                style,
                color=f"C{n}",
                marker="o",
                markersize=3,
                label=f"{responses} responses, prompt {'once' if name == 'shared' else 'copied'}",
            )
    axes.set(xscale="log", yscale="log", xlabel="prompt tokens", ylabel="seconds a step")
    axes.set_xticks(given.prompts, [str(length) for length in given.prompts])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(given.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
