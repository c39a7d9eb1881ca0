"""A teacher's distributions along fixed text, written to disk once, so that it need not stand beside the student.

A folder holds index.json and chunk-N.safetensors, each of as many examples as make CHUNK numbers: per response token
log-probabilities in float16 and, of the k likeliest alone, their ids in int32 and what each other token has. Chunks are
whole or not there, so that a writing that was stopped goes on behind the last.

Shape legend: S response tokens of several examples, K tokens kept of each, V the teacher's vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from plad.errors import PladError
from plad.spec import Spec
from plad.training.examples import Examples
from plad.training.head import LOGITS_AT_ONCE, Predictions
from plad.training.layout import Example
from plad.training.likelihood import choose_layout, predictions
from plad.training.packing import Layout, micro_batches

CHUNK = 2**25
"""Numbers of a chunk, 64 MB of them in float16."""

LOWEST = torch.finfo(torch.float16).min


class TeacherLogits(Spec):
    """Keep the teacher's distributions along the text on disk, in place of the teacher beside the student.

    With `top_k` the probability that the likeliest tokens leave over is spread evenly over all others, so that every
    divergence stays finite; how much they keep is told.
    """

    top_k: int | None = Field(None, ge=1, description="the likeliest tokens to keep at each position; null for all")


@dataclass(frozen=True)
class Rows:
    """Where the distributions along an example's responses are: so many rows of a chunk."""

    file: Path
    start: int
    count: int
    vocabulary: int

    def read(self) -> dict[str, Tensor]:
        """`values` (S, K), and of top-k also `ids` (S, K) and `rest` (S,)."""
        end = self.start + self.count
        with safe_open(self.file, "pt") as chunk:
            return {name: chunk.get_slice(name)[self.start : end] for name in chunk.keys()}  # noqa: SIM118  # no mapping


def write_logits(
    model: Any,
    pad_id: int,
    examples: Examples,
    folder: Path,
    settings: TeacherLogits,
    tokens: int | None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Write what is not there yet of a teacher's distributions along the responses of examples.

    Args:
        tokens: the most that are read at once, padding included.
        progress: is told how many examples are done.

    Returns:
        `rows`, response tokens; `vocabulary`; `top_k`; `kept` and `least_kept`, the mean and the smallest share of the
        probability that the tokens kept have.
    """
    layout, vocabulary = choose_layout(model, pad_id), int(model.config.get_text_config().vocab_size)
    top_k = min(settings.top_k or vocabulary, vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    rows, done, kept, least = 0, 0, 0.0, 1.0
    for number, part in enumerate(_chunks(examples, top_k)):
        file = folder / _name(number)
        if not file.is_file():
            found = _distributions(model.eval(), layout, part, top_k, tokens)
            _save(file, found)
        shares = _mass(file)
        rows, done = rows + len(shares), done + len(part)
        kept, least = kept + math.fsum(shares), min(least, *shares)
        progress(done)
    about: dict[str, Any] = {"rows": rows, "vocabulary": vocabulary}
    about |= {"top_k": top_k if top_k < vocabulary else None, "kept": kept / rows, "least_kept": least}
    (folder / "index.json").write_text(json.dumps({**about, "width": top_k, "text": _digest(examples)}))
    return about


def with_logits(examples: Examples, folder: Path) -> Examples:
    """The same examples, each with the place of the teacher's distributions along it.

    Raises:
        PladError: the folder is of other text.
    """
    index = json.loads((folder / "index.json").read_text())
    if index["text"] != _digest(examples):
        raise PladError(f"{folder} holds a teacher's distributions along other text. Delete it, and run again.")
    return examples.beside(_Taught(examples, folder, index["width"], index["vocabulary"]))


class _Taught(Sequence[Example]):
    """Examples with the place of the teacher's distributions; of each, its chunk and its first row are in memory."""

    def __init__(self, examples: Examples, folder: Path, width: int, vocabulary: int):
        self.examples, self.folder, self.vocabulary = examples, folder, vocabulary
        self._chunks, self._starts = array("l"), array("q")
        for number, part in enumerate(_chunks(examples, width)):
            start = 0
            for example in part:
                self._chunks.append(number)
                self._starts.append(start)
                start += _rows(example)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: Any) -> Any:
        example = self.examples[index]
        file = self.folder / _name(self._chunks[index])
        return replace(example, teacher=Rows(file, self._starts[index], _rows(example), self.vocabulary))


@torch.no_grad()
def _distributions(
    model: nn.Module, layout: Layout, examples: Sequence[Example], top_k: int, tokens: int | None
) -> dict[str, Tensor]:
    """Along all responses, in the order of the examples and of the responses of each."""
    device = next(model.parameters()).device
    starts = torch.tensor([0, *map(_rows, examples)]).cumsum(0).tolist()
    parts: dict[str, Tensor] = {}
    for places in micro_batches(examples, layout, tokens):
        batch = {key: value.to(device) for key, value in layout([examples[k] for k in places]).items()}
        where = torch.cat([torch.arange(starts[k], starts[k + 1]) for k in places])
        in_order = batch["slot"].argsort().cpu()
        for name, value in _likeliest(predictions(model, batch), top_k).items():
            whole = parts.setdefault(name, value.new_empty((starts[-1], *value.shape[1:])))
            whole[where] = value[in_order]
    return parts


def _likeliest(expert: Predictions, top_k: int) -> dict[str, Tensor]:
    """Of each position, on the CPU; the head is applied to some of them at a time."""
    pieces = [
        _piece(expert, state, top_k) for state in expert.state_SD.split(max(1, LOGITS_AT_ONCE // expert.vocabulary))
    ]
    return {name: torch.cat([piece[name] for piece in pieces]).cpu() for name in pieces[0]}


def _piece(expert: Predictions, state_SD: Tensor, top_k: int) -> dict[str, Tensor]:
    logps_SV = expert.logits(state_SD).log_softmax(-1)
    V = logps_SV.shape[-1]
    if top_k >= V:
        return {"values": logps_SV.clamp(min=LOWEST).half()}
    values_SK, ids_SK = logps_SV.topk(top_k)
    left_S = -torch.expm1(values_SK.logsumexp(-1)).clamp(max=0)
    rest_S = left_S.clamp(min=torch.finfo(torch.float32).tiny).log() - math.log(V - top_k)
    return {"values": values_SK.clamp(min=LOWEST).half(), "ids": ids_SK.int(), "rest": rest_S}


def _mass(file: Path) -> list[float]:
    """The share of the probability that is kept at each position of a chunk."""
    with safe_open(file, "pt") as chunk:
        if "ids" not in chunk.keys():  # noqa: SIM118  # no mapping
            return [1.0] * chunk.get_slice("values").get_shape()[0]
        kept: list[float] = chunk.get_tensor("values").float().exp().sum(-1).clamp(max=1).tolist()
        return kept


def _save(file: Path, found: dict[str, Tensor]) -> None:
    partial = file.with_name(f".{file.name}")
    save_file(found, partial)
    partial.replace(file)


def _chunks(examples: Examples, width: int) -> Iterator[list[Example]]:
    """Neighbours, as many as a chunk has room for, and one at least."""
    part: list[Example] = []
    held = 0
    for example in examples:
        if part and (held + _rows(example)) * width > CHUNK:
            yield part
            part, held = [], 0
        part.append(example)
        held += _rows(example)
    if part:
        yield part


def _rows(example: Example) -> int:
    return sum(map(len, example.responses))


def _digest(examples: Examples) -> str:
    """Of the JSON of all prompts and responses, taken piece by piece."""
    found = hashlib.sha256(b"[")
    for number, example in enumerate(examples):
        said = json.dumps([list(example.prompt), [list(y) for y in example.responses]])
        found.update(f"{', ' if number else ''}{said}".encode())
    found.update(b"]")
    return found.hexdigest()


def _name(number: int) -> str:
    return f"chunk-{number:05}.safetensors"
