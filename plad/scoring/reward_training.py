"""A reward model trained whole: one logit on a pretrained encoder or decoder, by the Bradley-Terry loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.records import PreferencePair, Prompt
from plad.scoring.accuracy import accuracy_by_kind, length_control
from plad.scoring.base import Progress, advance
from plad.scoring.checkpoint import Checkpoint
from plad.scoring.reward_model import RewardModel
from plad.spec import Spec


class RewardTraining(Spec):
    """How to train one. The folder that comes out is a model of transformers and what `type: reward_model` loads."""

    type: Literal["classifier"] = "classifier"
    model: str = Field(description="hub id or folder of the model to start from")
    epochs: int = Field(1, ge=1)
    pairs_per_step: int = Field(16, ge=1)
    lr: float = Field(1e-5, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_tokens: int = Field(512, ge=8)
    device: str = "cpu"
    checkpoint_every: int = Field(100, ge=1, description="steps between checkpoints to resume from")
    seed: int = 0

    def train_to(
        self,
        folder: Path,
        preferences: Sequence[PreferencePair],
        held_out: Sequence[PreferencePair],
        progress: Progress | None = None,
        workspace: Path | None = None,
    ) -> list[dict[str, Any]]:
        """Train on `preferences`, save to `folder`, and return the accuracy on `held_out` and that of a length rule.

        Args:
            workspace: where checkpoints go; a second call with the same settings and preferences continues there.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model, tokenizer = self._start()
            reader = RewardModel(model=self.model, max_tokens=self.max_tokens)
            settings = self.model_dump(mode="json", exclude={"checkpoint_every"})
            point = Checkpoint(workspace / "checkpoint.pt", settings, preferences) if workspace else None
            self._fit(model, reader, preferences, progress, point)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        trained = RewardModel(model=str(folder), max_tokens=self.max_tokens, device=self.device)
        prompts = [Prompt(pair.id, pair.prompt) for pair in held_out]
        sides = [trained.score(prompts, [getattr(pair, side) for pair in held_out]) for side in ("chosen", "rejected")]
        accuracy = accuracy_by_kind(held_out, [chosen - rejected for chosen, rejected in zip(*sides, strict=True)])
        accuracy.append(length_control(preferences, held_out))
        (folder / "accuracy.json").write_text(json.dumps(accuracy, indent=1) + "\n", encoding="utf-8")
        return accuracy

    def _start(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model)
            model = AutoModelForSequenceClassification.from_pretrained(
                self.model, num_labels=1, dtype=torch.float32, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            raise PladError(f"{self.model} is no model to start from: {str(error).splitlines()[0]}") from None
        return model.to(self.device), tokenizer

    def _fit(
        self,
        model: Any,
        reader: RewardModel,
        preferences: Sequence[PreferencePair],
        progress: Progress | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        """AdamW with linear decay over shuffled pairs; both responses of a pair are in one batch."""
        import torch

        from plad.scoring.head import bradley_terry_loss

        optimizer = torch.optim.AdamW(model.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        batches = [
            rows_B.tolist()
            for _ in range(self.epochs)
            for rows_B in torch.randperm(len(preferences)).split(self.pairs_per_step)
        ]
        decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
        model.train()
        done = checkpoint.restore(model, optimizer, decay) if checkpoint else 0
        advance(progress, sum(map(len, batches[:done])))
        for step, batch in enumerate(batches[done:], start=done + 1):
            pairs = [preferences[row] for row in batch]
            prompts = [Prompt(pair.id, pair.prompt) for pair in pairs] * 2
            texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
            rewards_2B = reader.rewards(model, prompts, texts)
            optimizer.zero_grad()
            bradley_terry_loss(rewards_2B[: len(pairs)] - rewards_2B[len(pairs) :]).backward()
            optimizer.step()
            decay.step()
            if checkpoint and step % self.checkpoint_every == 0:
                checkpoint.save(step, model, optimizer, decay)
            advance(progress, len(pairs))
        model.eval()
