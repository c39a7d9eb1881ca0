"""The test prompts with what every model answered, joined by prompt id."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from plad.records import EvalRow, Prompt
from plad.report.numbers import is_number
from plad.report.read import RunFiles

# With charts, style and script (well under 1 MB) the page then stays under 5 MB.
BUDGET = 4_000_000
# What would end the script element, open a tag or an entity, or end a line in old JavaScript.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Example:
    """One test prompt and the answers to it."""

    prompt: Prompt
    answers: Mapping[str, EvalRow]
    subject: str

    @property
    def gain(self) -> float | None:
        """How much better the scorer finds the answer of the run's subject than the initial student's."""
        before, after = self.answers.get("student"), self.answers.get(self.subject)
        if before is None or after is None:
            return None
        return after.score - before.score


class Examples(Sequence[Example]):
    """Every test prompt that a model has answered, in the order of the test file, and read where it is asked for."""

    def __init__(self, run: RunFiles):
        self._run, models = run, run.answers.values()
        found = (place for place, prompt in enumerate(run.prompts) if any(prompt.id in rows for rows in models))
        self._places = array("q", found)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        prompt = self._run.prompts[self._places[index]]
        return Example(prompt, _answers(self._run, prompt.id), self._run.subject)


def few(all_of_them: Examples, number: int = 5) -> list[Example]:
    """Examples at even distances, so that nobody picked them for their looks."""
    step = max(1, len(all_of_them) // number)
    return all_of_them[: step * number : step]


def payload(run: RunFiles) -> tuple[str, int, int]:
    """JSON for a script element, safe against any content; how many examples it holds, and of how many."""
    found = Examples(run)
    lines: list[str] = []
    size = 0
    for example in found:
        line = _dump(_row(example))
        size += len(line.encode()) + 1
        if size > BUDGET:
            break
        lines.append(line)
    models = [{"name": name, "label": run.label(name), "hue": run.hue(name)} for name in run.answers]
    return (
        f'{{"models":{_dump(models)},"subject":{_dump(run.subject)},"rows":[{",".join(lines)}]}}',
        len(lines),
        len(found),
    )


def _answers(run: RunFiles, prompt: str) -> dict[str, EvalRow]:
    return {name: row for name, rows in run.answers.items() if (row := rows.get(prompt)) is not None}


def _row(example: Example) -> dict[str, Any]:
    scores = {row.reference_score for row in example.answers.values()}
    return {
        "id": example.prompt.id,
        "prompt": example.prompt.text,
        "reference": example.prompt.reference,
        # The scorer may differ in the last digit from one batch to another; that is no disagreement.
        "referenceScore": _number(min(scores)),
        "gain": _number(example.gain),
        "answers": {name: [row.response, _number(row.score)] for name, row in example.answers.items()},
    }


def _number(value: float | None) -> float | None:
    # NaN is no JSON: a browser would refuse all the examples because of one.
    return float(f"{value:.6g}") if value is not None and is_number(value) else None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)
