"""Samples drawn while training, from the student or from its mixture with the teacher, token by token.

Every token keeps the log-probability under what it was drawn from, which a policy gradient needs and which
`generate` does not give for a mixture; and what it is credited with, of a loss that weighs a step's samples together.

Shape legend: B prompts, L prompt length, T new tokens, V tokens that both models have.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from plad.losses.sequence import Rollout, Total
from plad.training.examples import Examples
from plad.training.layout import Example
from plad.training.likelihood import base_model


def _alone(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Sampler:
    """Draws one response to each prompt, up to and including the end token.

    Args:
        student, teacher: models of one kind and vocabulary; the teacher may be None where it is not asked.
        end_id, pad_id: the token that ends a response, and any token for padding.
        total: sums over the processes that draw samples of a step.
    """

    student: Any
    teacher: Any
    end_id: int
    pad_id: int
    max_new_tokens: int
    settings: Rollout
    total: Total = _alone

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Sequence[int]], seed: int) -> list[Example]:
        """One example a prompt, its response and what stands beside each token; equal for equal seeds.

        The student answers without dropout and is left in the mode it was in.
        """
        was_training = self.student.training
        self.student.eval()
        try:
            tokens_BT, logs_BMT = self._draw(prompts, seed)
        finally:
            self.student.train(was_training)
        responses = [_ended(tokens, self.end_id) for tokens in tokens_BT.tolist()]
        logs = [logs_MT[:, : len(response)] for logs_MT, response in zip(logs_BMT.cpu(), responses, strict=True)]
        found = zip(prompts, responses, logs, self._credits(logs), strict=True)
        return [
            Example(prompt, [response], sampling_logps=[logs_MT[0].tolist()], advantages=credit)
            for prompt, response, logs_MT, credit in found
        ]

    def _credits(self, logs: Sequence[Tensor]) -> Sequence[list[list[float]] | None]:
        """What the tokens of each sample are credited with, where the loss wants it."""
        if self.settings.credit is None:
            return [None] * len(logs)
        rewards = [p_T - q_T for _, q_T, p_T in logs]
        return [[advantage_T.tolist()] for advantage_T in self.settings.credit(rewards, self.total)]

    def _draw(self, prompts: Sequence[Sequence[int]], seed: int) -> tuple[Tensor, Tensor]:
        """What was drawn, (B, T), and its log-probabilities under the mixture and each model asked, (B, M, T)."""
        mixed = [self.student, self.teacher] if self.settings.asks_teacher else [self.student]
        device = self.student.device
        models = [_Decoding(base_model(model), prompts, self.pad_id) for model in mixed]
        # Drawn for all steps at once and on the CPU, so that neither the longest response nor the device matters.
        shape = (len(prompts), self.max_new_tokens)
        chance_BT = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(device)
        ended_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
        tokens: list[Tensor] = []
        logs: list[Tensor] = []
        for chance_B in chance_BT.unbind(-1):
            shares = self._shares([model.logits() for model in models])
            mixed_BV = self._mixture(*shares)
            token_B = _pick(mixed_BV, chance_B)
            tokens.append(token_B)
            logs.append(torch.cat([each.gather(-1, token_B[:, None]) for each in (mixed_BV, *shares)], -1).log())
            ended_B = ended_B | (token_B == self.end_id)
            if bool(ended_B.all()):
                break
            for model in models:
                model.feed(token_B)
        return torch.stack(tokens, -1), torch.stack(logs, -1)

    def _shares(self, logits: Sequence[Tensor]) -> list[Tensor]:
        """Each model's distribution of the next token, (B, V), over the tokens that both have."""
        both = min(each.shape[-1] for each in logits)
        return [(each[:, :both].double() / self.settings.temperature).softmax(-1) for each in logits]

    def _mixture(self, q_BV: Tensor, p_BV: Tensor | None = None) -> Tensor:
        """α·p + (1 − α)·q."""
        share = self.settings.teacher_share
        return q_BV if p_BV is None else share * p_BV + (1 - share) * q_BV


@dataclass(frozen=True)
class OnPolicy:
    """Turns prompts into new samples, and adds people's text where the loss wants it beside them.

    Args:
        text: examples of one response.
        seed: with the number of the step it determines the samples, so that a resumed run draws them again.
    """

    sampler: Sampler
    text: Examples | None
    seed: int

    def __call__(self, parts: Sequence[Sequence[Example]], step: int) -> list[list[Example]]:
        """The samples of each part of a step's prompts, and then its texts; the parts change no sample."""
        seed = _seed(self.seed, step)
        prompts = [example.prompt for part in parts for example in part]
        drawn = self.sampler(prompts, seed)
        samples, texts = iter(drawn), iter(self._texts(drawn, seed))
        return [[*islice(samples, len(part)), *islice(texts, len(part))] for part in parts]

    def _texts(self, samples: Sequence[Example], seed: int) -> list[Example]:
        """As many as there are samples, each as response 1, for response 0 is a sample's place."""
        if self.text is None:
            return []
        generator = torch.Generator().manual_seed(seed)
        places = torch.randint(len(self.text), (len(samples),), generator=generator).tolist()
        texts = [self.text[k] for k in places]
        if self.sampler.settings.credit is None:
            return [_as_text(text) for text in texts]
        tokens = [sum(len(example.responses[0]) for example in some) for some in (samples, texts)]
        drawn, read = self.sampler.total(torch.tensor(tokens, dtype=torch.float64)).tolist()
        return [_as_text(text, drawn / read) for text in texts]


class _Decoding:
    """A model that reads prompts, and then token by token what follows them."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int):
        self.model = model
        ids_BL, mask_BL = _padded(prompts, pad_id, left=not model.config.is_encoder_decoder)
        self.mask_BL = mask_BL.to(model.device)
        self.fixed: dict[str, Any] = {}
        self.next_ids = ids_BL.to(model.device)
        if model.config.is_encoder_decoder:
            self.fixed["encoder_outputs"] = model.get_encoder()(input_ids=self.next_ids, attention_mask=self.mask_BL)
            self.next_ids = torch.full_like(self.next_ids[:, :1], model.config.decoder_start_token_id)
        self.counts = "position_ids" in inspect.signature(model.forward).parameters
        self.cache: Any = None

    def logits(self) -> Tensor:
        """Of the next token, (B, V)."""
        if self.model.config.is_encoder_decoder:
            reads = {"decoder_input_ids": self.next_ids}
        else:
            reads = {"input_ids": self.next_ids}
            if self.counts:
                place_BL = (self.mask_BL.cumsum(-1) - 1).clamp(min=0)
                reads["position_ids"] = place_BL[:, -self.next_ids.shape[1] :]
        output = self.model(
            **reads, **self.fixed, attention_mask=self.mask_BL, past_key_values=self.cache, use_cache=True
        )
        self.cache = output.past_key_values
        logits: Tensor = output.logits[:, -1]
        return logits

    def feed(self, token_B: Tensor) -> None:
        """What was drawn; after a response's end it no longer matters what."""
        self.next_ids = token_B[:, None]
        if not self.model.config.is_encoder_decoder:
            self.mask_BL = torch.cat([self.mask_BL, torch.ones_like(self.mask_BL[:, :1])], -1)


def _as_text(example: Example, credit: float | None = None) -> Example:
    """Behind an empty sample; nobody drew it, and a micro-batch of texts alone must still say so."""
    (response,) = example.responses
    credits = None if credit is None else [[], [credit] * len(response)]
    return Example(example.prompt, [[], response], sampling_logps=[[], [0.0] * len(response)], advantages=credits)


def _seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"rollout {seed} {step}".encode()).digest()[:7], "big")


def _padded(prompts: Sequence[Sequence[int]], pad_id: int, left: bool) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids_BL = torch.full((len(prompts), width), pad_id)
    mask_BL = torch.zeros_like(ids_BL)
    for b, prompt in enumerate(prompts):
        columns = slice(width - len(prompt), width) if left else slice(0, len(prompt))
        ids_BL[b, columns] = torch.as_tensor(prompt)
        mask_BL[b, columns] = 1
    return ids_BL, mask_BL


def _pick(share_BV: Tensor, chance_B: Tensor) -> Tensor:
    """The first token up to which the shares exceed the chance: never one whose share is 0."""
    total_BV = share_BV.cumsum(-1)
    return torch.searchsorted(total_BV, chance_B[:, None] * total_BV[:, -1:], right=True).squeeze(-1)


def _ended(tokens: list[int], end_id: int) -> list[int]:
    """Up to and including the end token, where there is one."""
    return tokens[: tokens.index(end_id) + 1] if end_id in tokens else tokens
