"""A run folder made by hand, small enough to derive every number of its report on paper."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MODELS = ("teacher", "student", "sft", "seqkd", "plad")
RECIPE = "task: docstrings\nseed: 1\nloss:\n  type: ranking\n  margin: 1.0\n"


def estimate(value: float, half: float = 0.04, n: int = 500) -> dict[str, Any]:
    """A value with a symmetric interval."""
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def results() -> dict[str, Any]:
    """results.json of a run in which PLaD won on 61.2 % of the prompts."""
    rows = [
        _row("teacher", "Teacher (SFT)", 6_100_000, 0.45, 0.75, 0.42),
        _row("student", "Initial student", 1_300_000, 0.31, None, 0.33),
        _row("sft", "Continued SFT", 1_300_000, 0.32, 0.505, 0.335),
        _row("seqkd", "SeqKD", 1_300_000, 0.352, 0.571, 0.371),
        _row("plad", "PLaD", 1_300_000, 0.384, 0.612, 0.362),
    ]
    accuracy = [{"kind": "mismatched", **estimate(0.93, 0.02)}, {"kind": "word_dropped", **estimate(0.714, 0.04)}]
    return {
        "task": "docstrings",
        "n": 500,
        "scorer": {"name": "embedding", "description": "cosine to the human reference", "accuracy": accuracy},
        "teacher_student": estimate(0.72),
        "rows": rows,
        "reference_words": estimate(9.84, 0.3),
    }


def make_run(run: Path, examples: int = 12, *, words: int = 12) -> Path:
    """Write a whole finished run into `run`; half of the examples are won by PLaD, a quarter lost."""
    write(run / "recipe.yaml", RECIPE)
    write(run / "manifest.json", _manifest())
    splits = {"train": 4000, "test": examples}
    write(
        run / "data/summary.json",
        {"read": 5000, "exact_duplicates": 40, "near_duplicates": 300, "splits": splits},
    )
    write(run / "pairs.json", {"prompts": 100, "made": 85, "dropped": {"empty_student": 3, "identical": 12}})
    lines(run / "pairs.jsonl", [_pair(place) for place in range(4)])
    lines(run / "data/test.jsonl", [_prompt(place, words) for place in range(examples)])
    for name in MODELS:
        lines(run / f"models/{name}/history.jsonl", _history(name))
        lines(run / f"evaluation/{name}.jsonl", [answer(name, place, words) for place in range(examples)])
    write(run / "evaluation/results.json", results())
    return run


def write(path: Path, content: Any) -> None:
    """Text as it is, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A JSON Lines file."""
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def answer(name: str, place: int, words: int = 12, **changes: Any) -> dict[str, Any]:
    """One line of evaluation/<name>.jsonl."""
    # Places 0 and 1 of four are won by PLaD, 2 is tied, 3 is lost.
    after = {0: 0.9, 1: 0.7, 2: 0.5, 3: 0.2}[place % 4]
    score = {"student": 0.5, "plad": after, "teacher": 0.95}.get(name, 0.6)
    row = {
        "id": f"p{place}",
        "response": f"{name} returns the sum of item {place}. " + "Then more. " * (words // 6),
        "score": score,
        "reference_score": 0.8,
        "rouge1": 0.3,
        "rouge2": 0.2,
        "rougeL": 0.3,
        "words": words,
        "finished": True,
    }
    return {**row, **changes}


def _row(name: str, label: str, size: int, rate: float, initial: float | None, rouge: float) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "parameters": size,
        "win_rate": estimate(rate),
        "against_initial": None if initial is None else estimate(initial, 0.042),
        "rouge1": estimate(rouge, 0.01),
        "rouge2": estimate(rouge / 2, 0.01),
        "rougeL": estimate(rouge - 0.02, 0.01),
        "words": estimate(9.25, 0.2),
        "finished": estimate(0.996, 0.004),
    }


def _manifest() -> dict[str, Any]:
    seconds = {"prepare": 4.2, "sft/teacher": 1800, "sft/student": 605, "sample": 420, "pair": 3, "distill/plad": 900}
    tasks = {
        name: {"fingerprint": "ab12", "seconds": spent, "finished": "2025-01-02T03:04:05Z", "summary": {}}
        for name, spent in seconds.items()
    }
    versions = {"torch": "2.6.0", "transformers": "5.0.0"}
    return {
        "plad": "0.1.0",
        "created": "2025-01-02T03:04:05+00:00",
        "seed": 1,
        "git": "0123abc",
        "versions": versions,
        "tasks": tasks,
    }


def _pair(place: int) -> dict[str, Any]:
    # Score gaps 0.4, 0.2, 0.0 and -0.2: mean 0.1, two of four agree with the preference.
    return {
        "id": f"t{place}",
        "prompt": "def f(): ...",
        "chosen": "one two three four",
        "rejected": "one two",
        "chosen_score": 0.6,
        "rejected_score": 0.2 + 0.2 * place,
    }


def _prompt(place: int, words: int) -> dict[str, Any]:
    body = "\n".join(f"    total += items[{line}]" for line in range(max(2, words // 4)))
    code = f"def total_{place}(items):\n    total = 0\n{body}\n    return total"
    return {"id": f"p{place}", "prompt": code, "reference": f"Return the sum of the items, variant {place}."}


def _history(name: str) -> list[dict[str, Any]]:
    rows = []
    for log in range(1, 81):
        noise = 0.12 * math.sin(37.0 * log + len(name))
        loss = 1.2 + 2.4 * math.exp(-log / 18) + noise
        row = {"step": 10 * log, "epoch": log / 40, "loss": loss, "learning_rate": 1e-4, "grad_norm": 1.0}
        if name == "plad":
            gap = 0.9 * (1 - math.exp(-log / 25)) + 0.5 * noise
            row |= {"loss": 1 - 0.7 * gap, "margin": gap, "accuracy": 0.5 + 0.35 * gap, "active": 1 - 0.4 * gap}
            row |= {"chosen_logp": -1.6 + 0.2 * gap, "rejected_logp": -1.6 - 0.8 * gap}
        rows.append(row)
        if log % 20 == 0:
            rows.append({"step": 10 * log, "eval_loss": row["loss"] + 0.1})
    return rows
