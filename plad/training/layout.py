"""How examples become tensors: one pass over a prompt for all of its responses, short examples packed into rows.

A row holds examples one after another, and an example is its prompt followed by its responses:

    tokens    x₀ x₁ x₂ | a₀ a₁ | b₀ b₁ b₂ || x'₀ …
    example    0  0  0    0  0    0  0  0     1
    branch     0  0  0    1  1    2  2  2     0
    position   0  1  2    3  4    3  4  5     0

A token sees the earlier tokens of its own example that are prompt (branch 0) or of its own branch. Each response is
thus scored as if it stood alone behind the prompt, and the prompt is computed once.

Shape legend: B examples, R responses, N rows, L row length, S response tokens of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

NO_EXAMPLE = -1
"""Marks padding in `example_NL`."""


class Kept(Protocol):
    """A teacher's distributions along all responses of an example, one row a token, over a vocabulary of this size."""

    @property
    def vocabulary(self) -> int: ...

    def read(self) -> dict[str, Tensor]:
        """As `head.Stored` has them: values, ids and rest."""


@dataclass(frozen=True)
class Example:
    """A tokenised prompt and its responses, each with its end token unless it was cut short.

    An empty response takes no room: it leaves its number to what other examples of a batch have there. Beside each
    response may stand its score, its log-likelihood under the initial student, what its pair counts for where that is
    not 1, and, of one drawn in training, the log-probability of each token under what it was drawn from and what each
    is credited with; and beside the example, where a teacher's distributions along its responses are kept.
    """

    prompt: Sequence[int]
    responses: Sequence[Sequence[int]]
    scores: Sequence[float] | None = None
    reference_logps: Sequence[float] | None = None
    sampling_logps: Sequence[Sequence[float]] | None = None
    advantages: Sequence[Sequence[float]] | None = None
    teacher: Kept | None = None
    weights: Sequence[float] | None = None

    @property
    def tokens(self) -> int:
        """Tokens of the shared layout: the prompt once, and every response."""
        return len(self.prompt) + sum(map(len, self.responses))


Batch = dict[str, Tensor]

OF_TOKENS = ("sampling_logps", "advantages")
"""What an example may have beside each of its tokens."""


@dataclass(frozen=True)
class DecoderLayout:
    """Collates examples for a decoder-only model.

    `share_prefix=False` gives every response a row of its own behind a copy of its prompt and an ordinary attention
    mask: the plain layout, which any architecture understands. `head_apart` says that its head may be applied to the
    positions of responses alone, as it always is where prompts are shared.
    """

    pad_id: int
    share_prefix: bool = True
    head_apart: bool = False

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Tensors (N, L): input_ids, with position_ids, example and branch, or, plain, with attention_mask.

        `_targets` adds the rest.
        """
        placed = self._place(examples)
        width = max(row.width for row in placed)
        shape = (len(placed), width)
        ids, positions = torch.full(shape, self.pad_id), torch.zeros(shape, dtype=torch.long)
        owner, branch = torch.full(shape, NO_EXAMPLE), torch.zeros(shape, dtype=torch.long)
        source: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for n, row in enumerate(placed):
            start = 0
            for b, picks in row.parts:
                prompt = examples[b].prompt
                end = start + len(prompt)
                ids[n, start:end] = torch.as_tensor(prompt)
                positions[n, start:end] = torch.arange(len(prompt))
                owner[n, start:end] = b
                last = end - 1
                for k, r in enumerate(picks, start=1):
                    response = examples[b].responses[r]
                    stop = end + len(response)
                    ids[n, end:stop] = torch.as_tensor(response)
                    positions[n, end:stop] = torch.arange(len(prompt), len(prompt) + len(response))
                    owner[n, end:stop] = b
                    branch[n, end:stop] = k
                    # The token before each target predicts it; before the first stands the prompt's last.
                    source[b, r] = [(n, last), *((n, t) for t in range(end, stop - 1))][: len(response)]
                    end = stop
                start = end
        layout = {"input_ids": ids}
        if self.share_prefix:
            layout |= {"position_ids": positions, "example": owner, "branch": branch}
        else:
            layout |= {"attention_mask": (owner != NO_EXAMPLE).long()}
            layout |= {"head_apart": torch.tensor(True)} if self.head_apart else {}
        return layout | _targets(examples, source)

    def _place(self, examples: Sequence[Example]) -> list[_Row]:
        if not self.share_prefix:
            return [
                _Row(len(e.prompt) + len(e.responses[r]), [(b, [r])])
                for b, e in enumerate(examples)
                for r in range(len(e.responses))
                if e.responses[r]
            ]
        return _pack([e.tokens for e in examples], [list(range(len(e.responses))) for e in examples])


@dataclass(frozen=True)
class EncoderDecoderLayout:
    """Collates examples for an encoder-decoder model: the encoder reads each prompt once, the decoder each response."""

    pad_id: int
    start_id: int

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Tensors: input_ids, attention_mask (B, L); decoder_input_ids (N, T) and its encoder row, encoder_row (N,)."""
        width = max(len(e.prompt) for e in examples)
        ids, mask = (
            torch.full((len(examples), width), self.pad_id),
            torch.zeros(len(examples), width, dtype=torch.long),
        )
        for b, example in enumerate(examples):
            ids[b, : len(example.prompt)] = torch.as_tensor(example.prompt)
            mask[b, : len(example.prompt)] = 1
        flat = [(b, r) for b, e in enumerate(examples) for r in range(len(e.responses)) if e.responses[r]]
        longest = max(len(examples[b].responses[r]) for b, r in flat)
        decoder = torch.full((len(flat), longest), self.pad_id)
        source = {}
        for n, (b, r) in enumerate(flat):
            response = examples[b].responses[r]
            decoder[n, : len(response)] = torch.as_tensor([self.start_id, *response[:-1]])
            source[b, r] = [(n, t) for t in range(len(response))]
        layout = {
            "input_ids": ids,
            "attention_mask": mask,
            "decoder_input_ids": decoder,
            "encoder_row": torch.tensor([b for b, _ in flat]),
        }
        return layout | _targets(examples, source)


@dataclass
class _Row:
    width: int
    parts: list[tuple[int, list[int]]]


def _pack(widths: list[int], picks: list[list[int]]) -> list[_Row]:
    """First fit, longest first, into rows as wide as the widest example: packing never widens a batch."""
    rows: list[_Row] = []
    capacity = max(widths)
    for b in sorted(range(len(widths)), key=lambda i: -widths[i]):
        row = next((row for row in rows if row.width + widths[b] <= capacity), None)
        if row is None:
            rows.append(row := _Row(0, []))
        row.width += widths[b]
        row.parts.append((b, picks[b]))
    return rows


def _targets(examples: Sequence[Example], source: dict[tuple[int, int], list[tuple[int, int]]]) -> Batch:
    """Where each of the S response tokens is predicted, what it is, and where its log-probability belongs.

    Tensors: predict_row, predict_col, target, slot, response (S,), with slot an index into a flat (B, R, T);
    lengths (B, R); scores and reference_logps (B, R) if every example has them; weights (B, R) if any has some, 1
    elsewhere; sampling_logps and advantages (S,), 0 where an example has none, if any has; teacher_values, and the
    like, where they are kept.
    """
    most = max(len(e.responses) for e in examples)
    longest = max(len(y) for e in examples for y in e.responses)
    rows: list[int] = []
    cols: list[int] = []
    targets: list[int] = []
    slots: list[int] = []
    numbers: list[int] = []
    beside: dict[str, list[float]] = {name: [] for name in OF_TOKENS}
    lengths = torch.zeros(len(examples), most, dtype=torch.long)
    for (b, r), places in source.items():
        response = examples[b].responses[r]
        lengths[b, r] = len(response)
        rows += [n for n, _ in places]
        cols += [t for _, t in places]
        targets += response
        slots += range((b * most + r) * longest, (b * most + r) * longest + len(response))
        numbers += [r] * len(response)
        for name, values in beside.items():
            own = getattr(examples[b], name)
            values += own[r] if own else [0.0] * len(response)
    batch = {
        "predict_row": torch.tensor(rows),
        "predict_col": torch.tensor(cols),
        "target": torch.tensor(targets),
        "slot": torch.tensor(slots),
        "response": torch.tensor(numbers),
        "lengths": lengths,
    }
    for name in ("scores", "reference_logps"):
        if all(getattr(e, name) is not None for e in examples):
            told = ([*getattr(e, name), *[0.0] * (most - len(e.responses))] for e in examples)
            batch[name] = torch.tensor(list(told), dtype=torch.float32)
    if any(e.weights is not None for e in examples):
        told = ([*(e.weights or []), *[1.0] * (most - len(e.weights or []))] for e in examples)
        batch["weights"] = torch.tensor(list(told), dtype=torch.float32)
    for name, values in beside.items():
        if any(getattr(e, name) is not None for e in examples):
            batch[name] = torch.tensor(values)
    return batch | (_kept(examples, list(source)) if all(e.teacher for e in examples) else {})


def _kept(examples: Sequence[Example], responses: Sequence[tuple[int, int]]) -> Batch:
    """A teacher's distributions along the responses in the order of their targets."""
    vocabulary = 0
    parts: dict[tuple[int, int], dict[str, Tensor]] = {}
    for b, example in enumerate(examples):
        assert example.teacher is not None
        vocabulary, rows = example.teacher.vocabulary, example.teacher.read()
        lengths = list(map(len, example.responses))
        cut = [
            dict(zip(rows, pieces, strict=True))
            for pieces in zip(*(value.split(lengths) for value in rows.values()), strict=True)
        ]
        parts |= {(b, r): piece for r, piece in enumerate(cut)}
    names = parts[responses[0]]
    found = {f"teacher_{name}": torch.cat([parts[place][name] for place in responses]) for name in names}
    return found | {"teacher_vocabulary": torch.tensor(vocabulary)}
