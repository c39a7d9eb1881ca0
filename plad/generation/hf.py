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
from plad.models.quantise import Bits, quantised
from plad.records import Generation, Prompt
from plad.spec import Spec


class HF(Spec):
    """transformers in this process: works wherever the training does."""

    type: Literal["hf"] = "hf"
    batch_tokens: int = Field(16384, ge=1, description="tokens of a batch, padding and answers included, at most")
    dtype: Precision | None = Field(None, description="that of the model where null")

    def generator(
        self,
        folder: Path,
        prompt_format: PromptFormat,
        dtype: Precision,
        batch_size: int,
        quantise: Bits | None = None,
    ) -> HFGenerator:
        """Load a model that a run saved, its adapter merged, onto the best device there is."""
        model, tokenizer = load_folder(folder, self.dtype or dtype)
        formatter = prompt_format.bind(tokenizer, bool(model.config.is_encoder_decoder))
        model = quantised(model, quantise, device()) if quantise else model.to(device())
        return HFGenerator(model, formatter, batch_size, self.batch_tokens, weights_digest(folder), quantise)


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
        quantise: how the model's weights are held, which changes its answers.
    """

    def __init__(
        self,
        model: Any,
        formatter: Formatter,
        batch_size: int = 64,
        batch_tokens: int = 16384,
        weights: str | None = None,
        quantise: Bits | None = None,
    ):
        self.model, self.formatter, self.weights = model.eval(), formatter, weights
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.held = {"quantise": quantise} if quantise else {}

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """The weights and the precision they run in."""
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"backend": "hf", "model": self.weights, "dtype": dtype, **self.held} if self.weights else None

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
        have, batches = set(done), list(self._batches(prompts, sampling))
        head = self._head(batches, sampling.max_new_tokens)
        for batch in batches:
            if interrupt.asked():
                return
            if any((row.prompt.id, row.sample) not in have for row in batch):
                yield from self._batch(batch, sampling, seed, head)

    def _batches(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[_Row]]:
        shown = self.formatter.all_prompt_ids(prompt.prompt for prompt in prompts)
        ids = {prompt.id: tokens for prompt, tokens in zip(prompts, shown, strict=True)}
        order = sorted(prompts, key=lambda prompt: (-len(ids[prompt.id]), prompt.id))
        rows = [_Row(prompt, sample, ids[prompt.id]) for prompt in order for sample in range(sampling.samples)]
        while rows:
            width = len(rows[0].ids) + sampling.max_new_tokens
            size = max(1, min(self.batch_size, self.batch_tokens // width))
            yield rows[:size]
            rows = rows[size:]

    def _batch(self, rows: Sequence[_Row], sampling: Sampling, seed: int, head: int) -> Iterator[Generation]:
        from plad.generation.decoding import Decoder

        shown = [" ".join(map(str, row.ids)) for row in rows]
        seeds = [draw_seed(seed, text, row.sample) for text, row in zip(shown, rows, strict=True)]
        prompts = {text: row.ids for text, row in zip(shown, rows, strict=True)}
        place = {text: n for n, text in enumerate(prompts)}
        places = [place[text] for text in shown]
        decoder = Decoder(places, self.formatter.end_id, seeds if sampling.temperature > 0 else None, head)
        with _no_defaults(self.model):
            inputs = self._padded(list(prompts.values()), head)
            self.model.generate(**inputs, **self._settings(sampling), custom_generate=decoder)
        for row, new_ids in zip(rows, decoder.new_ids, strict=True):
            text, finished = self.formatter.decode(new_ids)
            yield Generation(row.prompt.id, text, finished, tokens=len(new_ids), sample=row.sample)

    def _head(self, batches: Sequence[Sequence[_Row]], new_tokens: int) -> int:
        """How many tokens all prompts of a call begin with; 0 where a model can't read them apart from the rest.

        That of all prompts, whichever batch they come to, so that an answer depends on neither batches nor resuming.
        """
        ids = [row.ids for batch in batches for row in batch]
        if not ids or not _reads_apart(self.model, len(ids[0]) + new_tokens):  # longest first
            return 0
        low, high = min(ids), max(ids)  # what these two share, all share
        same = next((n for n, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
        return min(same, min(map(len, ids)) - 1)

    def _padded(self, ids: list[list[int]], head: int) -> dict[str, Any]:
        """Padding behind the head, so that a prompt ends with the last column; an encoder's input pads on the right."""
        import torch

        width, device = max(map(len, ids)), self.model.device
        tokens = torch.full((len(ids), width), self.formatter.end_id, device=device)
        mask = torch.zeros_like(tokens)
        for n, row in enumerate(ids):
            start = 0 if self.model.config.is_encoder_decoder else width - len(row)
            for columns, part in ((slice(0, head), row[:head]), (slice(start + head, start + len(row)), row[head:])):
                tokens[n, columns] = torch.as_tensor(part, dtype=torch.long, device=device)
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


def _reads_apart(model: Any, width: int) -> bool:
    """Whether padding between a prompt's beginning and its rest changes nothing, in rows of `width` tokens.

    It does where a layer carries a state along the row, and where one counts a window along the row that is narrower.
    """
    config = model.config
    if config.is_encoder_decoder or getattr(model, "_is_stateful", False):
        return False
    if set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}:
        return False
    windows = (getattr(config, name, None) for name in ("sliding_window", "window_size"))
    return all(width <= window for window in windows if window)


@contextmanager
def _no_defaults(model: Any) -> Iterator[None]:
    """Without the model's generation_config.json, whose penalties would fill what our settings leave open."""
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
