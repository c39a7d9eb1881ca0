"""A model in this process: batches of like length under a token budget, decoded with transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from plad import interrupt
from plad.generation.base import Done, Sampling, draw_seed
from plad.models.load import Precision, device, load_folder, weights_digest
from plad.models.prompts import Formatter, PromptFormat
from plad.records import Generation, Prompt
from plad.spec import Spec


class HF(Spec):
    """transformers in this process: works wherever the training does."""

    type: Literal["hf"] = "hf"
    batch_tokens: int = Field(16384, ge=1, description="tokens of a batch, padding and answers included, at most")
    dtype: Precision | None = Field(None, description="that of the model where null")

    def generator(self, folder: Path, prompt_format: PromptFormat, dtype: Precision, batch_size: int) -> HFGenerator:
        """Load a model that a run saved, its adapter merged, onto the best device there is."""
        model, tokenizer = load_folder(folder, self.dtype or dtype)
        formatter = prompt_format.bind(tokenizer, bool(model.config.is_encoder_decoder))
        return HFGenerator(model.to(device()), formatter, batch_size, self.batch_tokens, weights_digest(folder))


@dataclass(frozen=True)
class _Row:
    """One sample to draw."""

    prompt: Prompt
    sample: int
    ids: list[int]


class HFGenerator:
    """A model in this process.

    Args:
        model: in the dtype it should run in, LoRA merged.
        formatter: renders prompts and reads responses.
        batch_size: rows at a time.
        batch_tokens: rows times the longest prompt and the longest answer, at most, where there are several rows.
        weights: a hash of the weights; without one, answers aren't kept in a store.
    """

    def __init__(
        self,
        model: Any,
        formatter: Formatter,
        batch_size: int = 64,
        batch_tokens: int = 16384,
        weights: str | None = None,
    ):
        self.model, self.formatter, self.weights = model.eval(), formatter, weights
        self.batch_size, self.batch_tokens = batch_size, batch_tokens

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """The weights and the precision they run in."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"backend": "hf", "model": self.weights, "dtype": dtype} if self.weights else None

    def rendered(self, prompt: Prompt) -> str:
        """The token ids."""
        return self.formatter.rendered(prompt.prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """Longest prompts first. Each sample draws from a seed of its own, whatever batch it is in.

        Only a batch that is wholly done is left out: the rest are computed as they would have been, to the last bit.
        On Ctrl-C the batch that is under way is the last.
        """
        have = set(done)
        for batch in self._batches(prompts, sampling):
            if interrupt.asked():
                return
            if any((row.prompt.id, row.sample) not in have for row in batch):
                yield from self._batch(batch, sampling, seed)

    def _batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[_Row]]:
        ids = {prompt.id: self.formatter.prompt_ids(prompt.prompt) for prompt in prompts}
        order = sorted(prompts, key=lambda prompt: (-len(ids[prompt.id]), prompt.id))
        rows = [_Row(prompt, sample, ids[prompt.id]) for prompt in order for sample in range(sampling.samples)]
        while rows:
            width = len(rows[0].ids) + sampling.max_new_tokens
            size = max(1, min(self.batch_size, self.batch_tokens // width))
            yield rows[:size]
            rows = rows[size:]

    def _batch(self, rows: Sequence[_Row], sampling: Sampling, seed: int) -> Iterator[Generation]:
        from plad.generation.decoding import Decoder

        shown = [" ".join(map(str, row.ids)) for row in rows]
        seeds = [draw_seed(seed, text, row.sample) for text, row in zip(shown, rows, strict=True)]
        decoder = Decoder(len(rows), self.formatter.end_id, seeds if sampling.temperature > 0 else None)
        with _no_defaults(self.model):
            inputs = self._padded([row.ids for row in rows])
            self.model.generate(**inputs, **self._settings(sampling), custom_generate=decoder)
        for row, new_ids in zip(rows, decoder.new_ids, strict=True):
            text, finished = self.formatter.decode(new_ids)
            yield Generation(row.prompt.id, text, finished, tokens=len(new_ids), sample=row.sample)

    def _padded(self, ids: list[list[int]]) -> dict[str, Any]:
        """Left padding, so that every row's next token is its last column; an encoder's input pads on the right."""
        import torch

        width, device = max(map(len, ids)), self.model.device
        tokens = torch.full((len(ids), width), self.formatter.end_id, device=device)
        mask = torch.zeros_like(tokens)
        for n, row in enumerate(ids):
            columns = slice(0, len(row)) if self.model.config.is_encoder_decoder else slice(width - len(row), width)
            tokens[n, columns] = torch.as_tensor(row, device=device)
            mask[n, columns] = 1
        return {"input_ids": tokens, "attention_mask": mask}

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        from transformers import GenerationConfig

        drawn = sampling.temperature > 0
        settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        return {
            "generation_config": GenerationConfig(
                max_new_tokens=sampling.max_new_tokens,
                do_sample=drawn,
                eos_token_id=self.formatter.end_id,
                pad_token_id=self.formatter.end_id,
                decoder_start_token_id=getattr(self.model.config, "decoder_start_token_id", None),
                **(settings if drawn else {}),
            )
        }


@contextmanager
def _no_defaults(model: Any) -> Iterator[None]:
    """Without the model's generation_config.json, whose penalties would fill what our settings leave open."""
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
