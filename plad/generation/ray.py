"""Another backend on many machines, by Ray Data: each worker loads the model once and answers some of the prompts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from plad.generation.base import Done, Sampling
from plad.generation.cluster import Cluster
from plad.generation.hf import HF
from plad.generation.ray_vllm import Processor, runs_by_processor
from plad.generation.vllm import VLLM, split_adapter
from plad.models.load import Precision, weights_digest
from plad.models.prompts import PromptFormat
from plad.records import Generation, Prompt, dump_lines

Engine = Annotated[HF | VLLM, Field(discriminator="type")]


class Ray(Cluster):
    """Ray Data over `engine`. The run folder must be readable under the same path on every machine."""

    type: Literal["ray"] = "ray"
    engine: Engine = HF()

    def generator(self, folder: Path, prompt_format: PromptFormat, dtype: Precision, batch_size: int) -> RayGenerator:
        """Connect; the workers load the model when they are first asked.

        Raises:
            PladError: Ray isn't installed.
        """
        self.connect("sample.backend")
        return RayGenerator(self, folder.resolve(), prompt_format, dtype, batch_size)


class RayGenerator:
    """Yields answers batch by batch as the workers finish them."""

    at_once = 131_072
    """Prompts of a call, at most: each starts the workers anew."""

    def __init__(self, spec: Ray, folder: Path, prompt_format: PromptFormat, dtype: Precision, batch_size: int):
        from transformers import AutoConfig, AutoTokenizer

        self.spec, self.folder, self.format = spec, folder, prompt_format
        self.dtype, self.batch_size = dtype, batch_size
        base, weights = folder, weights_digest(folder)
        while (below := split_adapter(base))[1] is not None:
            base = below[0]
        encoder_decoder = bool(AutoConfig.from_pretrained(base).is_encoder_decoder)
        self.formatter = prompt_format.bind(AutoTokenizer.from_pretrained(folder), encoder_decoder)
        # A worker answers as its backend would alone, so that their answers are the same and may be kept as such.
        self.identity: Mapping[str, Any] = {
            "backend": spec.engine.type,
            "model": weights,
            "dtype": spec.engine.dtype or dtype,
        }

    def rendered(self, prompt: Prompt) -> str:
        """The token ids."""
        return self.formatter.rendered(prompt.prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """By Ray's own processor where it runs the model, else by workers of ours."""
        have = set(done)
        if not self.formatter.encoder_decoder and runs_by_processor(self.spec.engine, self.folder):
            wanted = [(p, n) for p in prompts for n in range(sampling.samples) if (p.id, n) not in have]
            if wanted:
                processor = Processor(self.spec, self.folder, self.formatter, self.dtype, self.batch_size)
                yield from processor.answers(wanted, sampling, seed)
            return
        yield from self._by_workers(prompts, sampling, seed, have)

    def _by_workers(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, have: Collection[tuple[str, int]]
    ) -> Iterator[Generation]:
        """Prompts of like length go to a worker together, longest first."""
        todo = [p for p in prompts if any((p.id, sample) not in have for sample in range(sampling.samples))]
        if not todo:
            return
        todo.sort(key=lambda prompt: (-len(self.formatter.prompt_ids(prompt.prompt)), prompt.id))
        starts = range(0, len(todo), self.batch_size)
        # As text: a table's column can't hold plain prompts and conversations both.
        rows = [{"prompts": dump_lines(todo[start : start + self.batch_size])} for start in starts]
        settings = (self.spec.engine, str(self.folder), self.format, self.dtype, self.batch_size, sampling, seed)
        for row in self.spec.mapped(Worker, settings, rows):
            yield from (Generation.from_json(json.loads(line)) for line in row["answers"].split("\n")[:-1])


class Worker:
    """The backend in one of Ray's processes."""

    def __init__(
        self,
        engine: HF | VLLM,
        folder: str,
        prompt_format: PromptFormat,
        dtype: Precision,
        batch_size: int,
        sampling: Sampling,
        seed: int,
    ):
        self.generator = engine.generator(Path(folder), prompt_format, dtype, batch_size)
        self.sampling, self.seed = sampling, seed

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Answer the prompts of one row."""
        prompts = [Prompt.from_json(json.loads(line)) for line in row["prompts"].split("\n")[:-1]]
        return {"answers": dump_lines(self.generator.generate(prompts, self.sampling, self.seed))}
