"""A reward model of the hub or of a folder: any sequence classifier with one logit, or with two."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.models.precision import Bf16, in_bf16
from plad.models.prompts import chat_ids, special_tokens
from plad.records import Prompt
from plad.scoring.base import Progress, advance, batches_by_length, check_aligned, is_empty
from plad.scoring.encoder import model_source
from plad.spec import Spec

if TYPE_CHECKING:
    import torch

Encoded = dict[str, list[int]]


class RewardModel(Spec):
    """The logit of a reward model, or of two logits the second minus the first (bad, good).

    A tokenizer with a chat template gets the conversation; one without gets prompt and response as a text pair, as
    DeBERTa reward models are trained. What is too long loses the start of the prompt. An empty response scores
    `empty_score`, whatever the model thinks of it.
    """

    type: Literal["reward_model"] = "reward_model"
    model: str
    revision: str | None = None
    max_tokens: int = Field(default=512, ge=8)
    batch_size: int = Field(default=16, ge=1)
    bf16: Bf16 = False
    device: str = "cpu"
    empty_score: float = Field(default=-20.0, allow_inf_nan=False)

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"reward model {self.model}" + (f" at revision {self.revision}" if self.revision else "")

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[str], progress: Progress | None = None
    ) -> list[float]:
        """The reward of each response.

        Raises:
            PladError: the numbers differ, or the model is no reward model.
        """
        check_aligned(prompts, responses)
        scores = [self.empty_score] * len(responses)
        spoken = [index for index, response in enumerate(responses) if not is_empty(response)]
        advance(progress, len(responses) - len(spoken))
        rows = [self._encode(prompts[index], responses[index]) for index in spoken]
        for batch in batches_by_length([len(row["input_ids"]) for row in rows], self.batch_size):
            for row, reward in zip(batch, self._rewards([rows[index] for index in batch]), strict=True):
                scores[spoken[row]] = reward
            advance(progress, len(batch))
        return scores

    def _encode(self, prompt: Prompt, response: str) -> Encoded:
        """Token ids of one conversation, untruncated text at its end."""
        # What looks like a special token in a text is text.
        limit: dict[str, Any] = {"truncation": True, "max_length": self.max_tokens, "split_special_tokens": True}
        if not self._tokenizer.chat_template:
            alone = len(self._tokenizer("", response)["input_ids"])
            # By default the longer text is cut, which may be the response.
            limit |= {"truncation": "only_first"} if alone < self.max_tokens else {}
            return dict(self._tokenizer(prompt.text, response, **limit))
        turns = [{"role": "user", "content": prompt.prompt}] if isinstance(prompt.prompt, str) else [*prompt.prompt]
        turns = [*map(dict, turns), {"role": "assistant", "content": response}]
        ids = chat_ids(self._tokenizer, turns, special_tokens(self._tokenizer), answer=False)[-self.max_tokens :]
        return {"input_ids": ids, "attention_mask": [1] * len(ids)}

    def rewards(self, model: Any, prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
        """[N] rewards by a `model` in the making, with gradients, of text read as this scorer reads it."""
        return self._forward(model, [self._encode(*pair) for pair in zip(prompts, responses, strict=True)])

    def _rewards(self, rows: list[Encoded]) -> list[float]:
        import torch

        with torch.inference_mode():
            return self._forward(self._model, rows).tolist()

    def _forward(self, model: Any, rows: list[Encoded]) -> torch.Tensor:
        pad, device = self._pad_id(rows), next(model.parameters()).device
        model.config.get_text_config().pad_token_id = pad
        inputs = {name: _padded([row[name] for row in rows], pad if name == "input_ids" else 0) for name in rows[0]}
        return _reward(model(**{name: ids.to(device) for name, ids in inputs.items()}).logits.float())

    def _pad_id(self, rows: list[Encoded]) -> int:
        """An id to pad with which occurs in no row where the tokenizer has no padding of its own.

        A decoder's head sits on the last token that isn't padding. Were padding the end token, a real end token
        would be skipped.
        """
        own = self._tokenizer.pad_token_id
        if own is not None and own != self._tokenizer.eos_token_id:
            return int(own)
        used = {token for row in rows for token in row["input_ids"]}
        return next(token for token in range(len(used) + 1) if token not in used)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(model_source(self.model), revision=self.revision, truncation_side="left")

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModelForSequenceClassification

        model, report = AutoModelForSequenceClassification.from_pretrained(
            model_source(self.model),
            revision=self.revision,
            dtype=torch.bfloat16 if in_bf16(self.bf16, self.device) else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
        _check_head(self.model, model.config.num_labels, sorted(report["missing_keys"]))
        return model.to(self.device).eval().requires_grad_(False)


def _check_head(name: str, labels: int, missing: list[str]) -> None:
    """Refuse what would score at random: transformers invents the weights that a checkpoint lacks."""
    if missing:
        raise PladError(
            f"a reward model needs a trained head, but {name} lacks {missing[0]} ({len(missing)} weights missing). "
            "Name a sequence classifier, not a base model."
        )
    if labels not in (1, 2):
        raise PladError(f"a reward model has 1 or 2 logits, but {name} has {labels}. Name another model.")


def _reward(logits_BC: torch.Tensor) -> torch.Tensor:
    return logits_BC[:, 0] if logits_BC.shape[1] == 1 else logits_BC[:, 1] - logits_BC[:, 0]


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    """[B, T] ids, padded on the right."""
    import torch

    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
