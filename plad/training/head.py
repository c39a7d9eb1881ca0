"""The output head where it matters: log q(y) of the tokens asked for, without keeping a row of logits.

Shape legend: S positions, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 2**25
"""Logits held at a time, 128 MB in fp32: a chunk is this many divided by V positions."""


@dataclass(frozen=True)
class Predictions:
    """What predicts S tokens: states (S, D), and the head that makes logits (s, V) of some of them.

    Attributes:
        output: the output embeddings; None where an architecture's head is more than we can call. The states are
            then the logits.
        cap: soft-capping of the logits, `cap · tanh(logits / cap)`, as Gemma 2 has it.
    """

    state_SD: Tensor
    vocabulary: int
    output: nn.Module | None = None
    cap: float | None = None

    @property
    def states(self) -> tuple[Tensor, ...]:
        """What `logits` makes logits of, some positions at a time."""
        return (self.state_SD,)

    def logits(self, state_sD: Tensor) -> Tensor:
        """In fp32, (s, V)."""
        return _capped((state_sD if self.output is None else self.output(state_sD)).float(), self.cap)

    def token_logps(self, target_S: Tensor) -> Tensor:
        """log softmax of the logits at each target, in fp32, (S,).

        Memory grows with a chunk of positions, never with S × V. A frozen head (LoRA) is applied once and its gradient
        kept as (S, D); one that learns is applied again in the backward pass where there is more than one chunk.
        """
        return in_chunks(self._at, (self.state_SD, target_S), self.vocabulary, recompute=not self._is_frozen)[0]

    def _at(self, state_sD: Tensor, target_s: Tensor) -> tuple[Tensor]:
        if self._is_frozen:
            assert isinstance(self.output, nn.Linear)
            return (_FrozenHead.apply(state_sD, self.output.weight, self.output.bias, target_s, self.cap),)
        return (-nn.functional.cross_entropy(self.logits(state_sD), target_s, reduction="none"),)

    @property
    def _is_frozen(self) -> bool:
        """Whether the head is nothing but a matrix that does not learn; a LoRA layer is a Linear's wrapper."""
        head = self.output
        return type(head) is nn.Linear and type(head.weight) is nn.Parameter and not head.weight.requires_grad


@dataclass(frozen=True)
class Stored:
    """Log-probabilities of S tokens that were computed before, in place of a model's predictions.

    Attributes:
        values_SK: those of all V tokens, or of the K likeliest.
        ids_SK: which tokens these are; None for all.
        rest_S: the log-probability of each of the others.
    """

    values_SK: Tensor
    vocabulary: int
    ids_SK: Tensor | None = None
    rest_S: Tensor | None = None

    @property
    def states(self) -> tuple[Tensor, ...]:
        """As `Predictions.states`."""
        return tuple(value for value in (self.values_SK, self.ids_SK, self.rest_S) if value is not None)

    def logits(self, values_sK: Tensor, ids_sK: Tensor | None = None, rest_s: Tensor | None = None) -> Tensor:
        """In fp32, (s, V); log-probabilities are logits too."""
        if ids_sK is None or rest_s is None:
            return values_sK.float()
        return rest_s[:, None].repeat(1, self.vocabulary).scatter(-1, ids_sK.long(), values_sK.float())


def in_chunks(
    function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], vocabulary: int, recompute: bool = True
) -> tuple[Tensor, ...]:
    """`function` of positions, some at a time, that never has more than LOGITS_AT_ONCE logits in its hands.

    Args:
        recompute: in the backward pass, or the chunks' logits would all be held until then.
    """
    chunk = max(1, LOGITS_AT_ONCE // vocabulary)
    pieces = list(zip(*(value.split(chunk) for value in inputs), strict=True))
    if len(pieces) == 1:
        return function(*pieces[0])
    done = [checkpoint(function, *piece, use_reentrant=False) if recompute else function(*piece) for piece in pieces]
    return tuple(torch.cat(parts) for parts in zip(*done, strict=True))


class _FrozenHead(torch.autograd.Function):
    """∂ log q(y) / ∂h = W_y − Σ_v q(v) W_v, taken in the forward pass while the logits are there.

    Autograd would keep the logits for the backward pass, or compute them twice.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor, cap: float | None
    ) -> Tensor:
        dtype = compute_dtype(hidden_SD)
        weight = weight_VD.to(dtype)
        bias = None if bias_V is None else bias_V.to(dtype)
        raw_SV = nn.functional.linear(hidden_SD.to(dtype), weight, bias).float()
        logps_SV = _capped(raw_SV, cap).log_softmax(-1)
        found_S = logps_SV.gather(-1, target_S[:, None]).squeeze(-1)
        if ctx.needs_input_grad[0]:
            slope_SV = logps_SV.exp_().neg_()
            slope_SV.scatter_add_(-1, target_S[:, None], torch.ones_like(found_S)[:, None])
            if cap:
                slope_SV *= 1 - torch.tanh(raw_SV / cap).square()
            ctx.save_for_backward(slope_SV.to(dtype) @ weight)
            ctx.dtype = hidden_SD.dtype
        return found_S

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slope_SD,) = ctx.saved_tensors
        return (grads[0][:, None] * slope_SD).to(ctx.dtype), None, None, None, None


def _capped(logits_SV: Tensor, cap: float | None) -> Tensor:
    return cap * torch.tanh(logits_SV / cap) if cap else logits_SV


def compute_dtype(hidden_SD: Tensor) -> torch.dtype:
    """What a linear layer would compute in here: autocast's dtype, or the input's own."""
    device = hidden_SD.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_SD.dtype
