"""The head r(x, y) over two frozen sentence embeddings, and its training by the Bradley-Terry loss.

Shape suffixes: B batch, D embedding, N pairs, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class RewardHead(nn.Module):
    """r(x, y) = s·cos(u, v) + MLP([u∗v, |u−v|, v]), u: prompt, v: response, both unit vectors.

    u∗v and |u−v| are the pair features of InferSent (Conneau et al. 2017, arXiv 1705.02364): the relation. v alone
    is the form. The cosine has a path of its own, for relevance that training pairs don't teach; it rewards copying, so
    the training pairs must hold copies.
    """

    def __init__(self, dimension: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.cosine_scale = nn.Parameter(torch.tensor(10.0))
        self.mlp = nn.Sequential(nn.Linear(3 * dimension, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, prompts_BD: Tensor, responses_BD: Tensor) -> Tensor:
        """Rewards [B]."""
        product_BD = prompts_BD * responses_BD
        features_BF = torch.cat([product_BD, (prompts_BD - responses_BD).abs(), responses_BD], dim=-1)
        # Components of a unit vector are of size 1/√D; this makes them of size 1.
        features_BF = features_BF * prompts_BD.shape[-1] ** 0.5
        return self.cosine_scale * product_BD.sum(-1) + self.mlp(features_BF).squeeze(-1)


@dataclass(frozen=True)
class PairVectors:
    """Embeddings of N preference pairs, each [N, D]."""

    prompts: Tensor
    chosen: Tensor
    rejected: Tensor

    def take(self, rows_B: Tensor) -> PairVectors:
        """The pairs at `rows_B`."""
        return PairVectors(self.prompts[rows_B], self.chosen[rows_B], self.rejected[rows_B])


@dataclass(frozen=True, kw_only=True)
class HeadTraining:
    """AdamW with linear decay."""

    hidden: int
    dropout: float
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int


def train_head(pairs: PairVectors, settings: HeadTraining) -> RewardHead:
    """Train a head from scratch. The same pairs, settings and threads give the same bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = RewardHead(pairs.prompts.shape[-1], settings.hidden, settings.dropout).train()
        optimizer = torch.optim.AdamW(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        batches = _batches(len(pairs.prompts), settings)
        decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
        for rows_B in batches:
            optimizer.zero_grad()
            bradley_terry_loss(margins(head, pairs.take(rows_B))).backward()
            optimizer.step()
            decay.step()
    return head.eval().requires_grad_(False)


def bradley_terry_loss(margins_B: Tensor) -> Tensor:
    """−log σ(r(x, y⁺) − r(x, y⁻)), averaged (Bradley and Terry 1952)."""
    return -nn.functional.logsigmoid(margins_B).mean()


def margins(head: RewardHead, pairs: PairVectors) -> Tensor:
    """r(x, y⁺) − r(x, y⁻) [B]."""
    return head(pairs.prompts, pairs.chosen) - head(pairs.prompts, pairs.rejected)


def _batches(count: int, settings: HeadTraining) -> Sequence[Tensor]:
    return [rows_B for _ in range(settings.epochs) for rows_B in torch.randperm(count).split(settings.batch_size)]
