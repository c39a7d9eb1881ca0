"""The trained judge, in memory and in a folder: `head.safetensors` and `scorer.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.models.readable import readable
from plad.records import Prompt
from plad.scoring.base import Progress, check_aligned, is_empty
from plad.scoring.encoder import EncoderOptions, SentenceEncoder
from plad.scoring.head import RewardHead

WEIGHTS, SETTINGS = "head.safetensors", "scorer.json"


@dataclass(frozen=True)
class TrainedScorer:
    """A Bradley-Terry head that scores. The scale is log-odds: a difference of 0 is even, of 2.2 nine to one.

    `floor`: the score of an empty response, one less than the worst of the training pairs. `accuracy`: one
    `{"kind", "value", "low", "high", "n"}` a kind of held-out pair, the length control last. `pairs`: training
    pairs of each kind.
    """

    encoder: SentenceEncoder
    head: RewardHead
    floor: float
    accuracy: tuple[Mapping[str, Any], ...]
    pairs: Mapping[str, int]

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"Bradley-Terry head over {self.encoder.model}, {sum(self.pairs.values()):,} training pairs"

    @property
    def identity(self) -> str:
        """What determines its scores: the encoder's settings, the floor, and the head's weights."""
        weights = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in self.head.state_dict().values()))
        return f"trained {self.encoder.model_dump_json()} {self.floor} {weights.hexdigest()}"

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """The reward of each response.

        Raises:
            PladError: the numbers differ.
        """
        check_aligned(prompts, responses)
        prompts_ND = self.encoder.encode([prompt.text for prompt in prompts])
        rewards = self.head(prompts_ND, self.encoder.encode(responses, progress)).tolist()
        return [self.floor if is_empty(text) else reward for text, reward in zip(responses, rewards, strict=True)]

    def save(self, folder: Path) -> None:
        """Write both files; the settings last, for a folder without them is unfinished."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
        save_file(self.head.state_dict(), folder / WEIGHTS)
        (folder / SETTINGS).write_text(json.dumps(self._settings(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainedScorer:
        """Read what `save` wrote.

        Raises:
            PladError: the folder holds no trained judge, or the encoder isn't the size that it was trained for.
        """
        from safetensors.torch import load_file

        if not (folder / SETTINGS).is_file():
            raise PladError(f"a trained judge is a folder with {SETTINGS}, but {folder} has none. Train one first.")
        with readable(str(folder), "Train it again."):
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            weights = load_file(folder / WEIGHTS)
        hidden, features = weights["mlp.0.weight"].shape
        head = RewardHead(features // 3, hidden, dropout=0.0).eval().requires_grad_(False)
        head.load_state_dict(weights)
        return cls(
            encoder=EncoderOptions(**settings["encoder"]).encoder(),
            head=head,
            floor=settings["floor"],
            accuracy=tuple(settings["accuracy"]),
            pairs=settings["pairs"],
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder.model_dump(mode="json", include=set(EncoderOptions.model_fields)),
            "floor": self.floor,
            "accuracy": [dict(row) for row in self.accuracy],
            "pairs": dict(self.pairs),
        }
