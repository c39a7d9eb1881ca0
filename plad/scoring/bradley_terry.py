"""A judge learnt in seconds: a Bradley-Terry head over frozen sentence embeddings.

Trained to prefer the human's answer to worse ones (see `negatives`), and judged on pairs of prompts that it never
saw. Plain cosine is no judge: it prefers a copy of the source to the human's answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.records import Generation, PreferencePair, Prompt, as_text
from plad.scoring import negatives
from plad.scoring.accuracy import accuracy_by_kind, kind_of, length_control
from plad.scoring.base import Progress
from plad.scoring.encoder import EncoderOptions, SentenceEncoder
from plad.scoring.negatives import Preference

if TYPE_CHECKING:
    from plad.scoring.head import HeadTraining, PairVectors
    from plad.scoring.trained import TrainedScorer


class BradleyTerry(EncoderOptions):
    """How to train the judge, or in `folder` one that was trained before (whose own options then count).

    `mismatched`, `corrupted` and `copied` are negatives a training prompt.
    """

    type: Literal["bradley_terry"] = "bradley_terry"
    folder: Path | None = None
    mismatched: int = Field(default=4, ge=0)
    corrupted: int = Field(default=2, ge=0)
    copied: int = Field(default=1, ge=0)
    hidden: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    epochs: int = Field(default=8, ge=1)
    pairs_per_step: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    seed: int = 0

    @property
    def description(self) -> str:
        """One line for the report."""
        return self._trained.description if self.folder else f"Bradley-Terry head over {self.model}, not trained yet"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """Scores by the judge in `folder`.

        Raises:
            PladError: there is no folder, or it holds no judge.
        """
        return self._trained.score(prompts, responses, progress)

    def train_on(
        self,
        prompts: Sequence[Prompt],
        held_out: Sequence[Prompt],
        generations: Sequence[Generation] = (),
        held_out_generations: Sequence[Generation] = (),
        progress: Progress | None = None,
    ) -> TrainedScorer:
        """Make preferences from prompts with references, train on them, and measure on `held_out`.

        Raises:
            PladError: a reference is missing, or a prompt is on both sides.
        """
        encoder = self.encoder()
        pairs = self._preferences(encoder, prompts, generations, self.seed, progress)
        once = self.model_copy(update={"mismatched": 1, "corrupted": 1, "copied": min(1, self.copied)})
        # Another seed, lest prompt number i be damaged alike on both sides.
        held = once._preferences(encoder, held_out, held_out_generations, self.seed + 1_000_003, progress)
        return self._train(encoder, pairs, held, progress)

    def train(
        self,
        preferences: Sequence[PreferencePair],
        held_out: Sequence[PreferencePair],
        progress: Progress | None = None,
    ) -> TrainedScorer:
        """Train on `preferences` and measure on `held_out`. Equal input, seed and threads give equal bytes.

        Raises:
            PladError: a side is empty, or a prompt is on both sides.
        """
        return self._train(self.encoder(), preferences, held_out, progress)

    def _train(
        self,
        encoder: SentenceEncoder,
        preferences: Sequence[PreferencePair],
        held_out: Sequence[PreferencePair],
        progress: Progress | None,
    ) -> TrainedScorer:
        from plad.scoring.head import margins, train_head
        from plad.scoring.trained import TrainedScorer

        _check_apart(preferences, held_out)
        training = _embed(encoder, preferences, progress)
        head = train_head(training, self._settings())
        accuracy = accuracy_by_kind(held_out, margins(head, _embed(encoder, held_out, progress)).tolist())
        return TrainedScorer(
            encoder=encoder,
            head=head,
            # An empty response is worth less than anything seen in training.
            floor=float(head(training.prompts, training.rejected).min()) - 1.0,
            accuracy=(*accuracy, length_control(preferences, held_out)),
            pairs=dict(Counter(map(kind_of, preferences))),
        )

    def _preferences(
        self,
        encoder: SentenceEncoder,
        prompts: Sequence[Prompt],
        generations: Sequence[Generation],
        seed: int,
        progress: Progress | None,
    ) -> list[Preference]:
        """Negatives of every kind. Each draw has a seed of its own."""
        vectors_ND = encoder.encode([prompt.text for prompt in prompts], progress)
        pairs: list[Preference] = []
        for draw in range(self.mismatched):
            pairs += negatives.mismatched(prompts, seed + draw, vectors_ND)
        for draw in range(self.corrupted):
            pairs += negatives.corrupted(prompts, seed + draw)
        for draw in range(self.copied):
            pairs += negatives.copied(prompts, seed + draw)
        return pairs + (negatives.from_generations(prompts, generations) if generations else [])

    def _settings(self) -> HeadTraining:
        from plad.scoring.head import HeadTraining

        return HeadTraining(
            hidden=self.hidden,
            dropout=self.dropout,
            epochs=self.epochs,
            batch_size=self.pairs_per_step,
            lr=self.lr,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )

    @cached_property
    def _trained(self) -> TrainedScorer:
        from plad.scoring.trained import TrainedScorer

        if self.folder is None:
            raise PladError(
                "a bradley_terry scorer scores after training, but it names no folder. "
                "Train it first, or give the `folder` of one that was trained."
            )
        return TrainedScorer.load(self.folder)


def _embed(encoder: SentenceEncoder, pairs: Sequence[PreferencePair], progress: Progress | None) -> PairVectors:
    from plad.scoring.head import PairVectors

    columns: list[list[Any]] = [[as_text(pair.prompt) for pair in pairs]]
    columns += [[pair.chosen for pair in pairs], [pair.rejected for pair in pairs]]
    # One call: a text that stands in several columns is embedded once, and batches are of similar length.
    vectors = encoder.encode([text for column in columns for text in column], progress)
    return PairVectors(*vectors.split(len(pairs)))


def _check_apart(preferences: Sequence[PreferencePair], held_out: Sequence[PreferencePair]) -> None:
    if not preferences or not held_out:
        raise PladError(
            f"training a judge needs pairs on both sides, but got {len(preferences)} to train on and "
            f"{len(held_out)} to judge it by. Give prompts with references of both splits."
        )
    shared = {as_text(pair.prompt) for pair in preferences} & {as_text(pair.prompt) for pair in held_out}
    if shared:
        raise PladError(
            f"a judge is measured on prompts that it never saw, but {len(shared)} are on both sides. "
            "Take the training split and the validation split."
        )
