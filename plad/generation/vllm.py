"""A model in this process through vLLM: continuous batching on a GPU, or on a CPU where its CPU build is installed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.generation.base import Done, Sampling, draw_seed
from plad.models.load import Precision, load_folder, weights_digest
from plad.models.prompts import Formatter, PromptFormat
from plad.records import Generation, Prompt
from plad.spec import Spec


class VLLM(Spec):
    """vLLM in this process. An adapter is loaded beside its base, not merged into it."""

    type: Literal["vllm"] = "vllm"
    dtype: Precision | None = Field(None, description="that of the model where null")
    max_model_len: int | None = Field(None, ge=1, description="the model's own where null; a lower one saves memory")
    gpu_memory: float = Field(0.9, gt=0, le=1, description="share of a GPU's memory that vLLM may take")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share one model")
    eager: bool = Field(False, description="start at once and run slower: no graphs are captured or compiled")

    def generator(self, folder: Path, prompt_format: PromptFormat, dtype: Precision, batch_size: int) -> VLLMGenerator:
        """Load a model that a run saved; `batch_size` answers at most are under way at a time.

        Raises:
            PladError: vLLM isn't installed, or the model is an encoder-decoder, which vLLM doesn't run.
        """
        from transformers import AutoConfig, AutoTokenizer

        base, adapter = split_adapter(folder)
        keep = ExitStack()
        if (base / "adapter_config.json").is_file():
            # vLLM applies one adapter at a time: those below the last one are merged.
            merged = Path(keep.enter_context(tempfile.TemporaryDirectory()))
            for part in load_folder(base, self.dtype or dtype):
                part.save_pretrained(merged)
            base = merged
        if AutoConfig.from_pretrained(base).is_encoder_decoder:
            raise PladError(f"vLLM runs decoder-only models, but {folder} is an encoder-decoder. Use `type: hf`.")
        formatter = prompt_format.bind(AutoTokenizer.from_pretrained(folder))
        with keep:
            engine = self._engine(base, adapter, self.dtype or dtype, batch_size)
        return VLLMGenerator(engine, formatter, weights_digest(folder), self.dtype or dtype, adapter)

    def _engine(self, base: Path, adapter: Path | None, dtype: Precision, batch_size: int) -> Any:
        try:
            from vllm import LLM
        except ImportError:
            raise PladError("sample.backend of type vllm needs vLLM. Run: pip install 'plad[vllm]'") from None
        return LLM(model=str(base), **self.settings(adapter, dtype, batch_size)).llm_engine

    def settings(self, adapter: Path | None, dtype: Precision, batch_size: int) -> dict[str, Any]:
        """What an engine is made with beside its model."""
        rank = json.loads((adapter / "adapter_config.json").read_text())["r"] if adapter else None
        return {
            "dtype": dtype,
            "max_model_len": self.max_model_len,
            "max_num_seqs": batch_size,
            "gpu_memory_utilization": self.gpu_memory,
            "tensor_parallel_size": self.tensor_parallel,
            "enforce_eager": self.eager,
            "enable_lora": adapter is not None,
            **({"max_lora_rank": lora_rank(rank)} if rank else {}),
        }


class VLLMGenerator:
    """Hands all prompts to the engine, and yields each answer as it is ready."""

    def __init__(self, engine: Any, formatter: Formatter, weights: str, dtype: str, adapter: Path | None):
        self.engine, self.formatter, self.weights, self.dtype, self.adapter = engine, formatter, weights, dtype, adapter

    @property
    def identity(self) -> Mapping[str, Any]:
        """The weights and the precision they run in; vLLM draws other numbers than transformers."""
        return {"backend": "vllm", "model": self.weights, "dtype": self.dtype}

    def rendered(self, prompt: Prompt) -> str:
        """The token ids."""
        return self.formatter.rendered(prompt.prompt)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        """Each sample is a request of its own, with a seed of its own."""
        have = set(done)
        waiting: dict[str, tuple[Prompt, int]] = {}
        for prompt in prompts:
            for sample in range(sampling.samples):
                if (prompt.id, sample) not in have:
                    waiting[name := f"{len(waiting)}"] = (prompt, sample)
                    self._add(name, prompt, sample, sampling, seed)
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                if output.finished:
                    prompt, sample = waiting[output.request_id]
                    yield read_answer(self.formatter, prompt.id, sample, list(output.outputs[0].token_ids))

    def _add(self, name: str, prompt: Prompt, sample: int, sampling: Sampling, seed: int) -> None:
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        params = SamplingParams(**request_settings(self.formatter, prompt, sample, sampling, seed))
        adapter = LoRARequest("adapter", 1, str(self.adapter)) if self.adapter else None
        shown = {"prompt_token_ids": self.formatter.prompt_ids(prompt.prompt)}
        self.engine.add_request(name, shown, params, lora_request=adapter)


def request_settings(
    formatter: Formatter, prompt: Prompt, sample: int, sampling: Sampling, seed: int
) -> dict[str, Any]:
    """The fields of vLLM's SamplingParams for one sample of one prompt: it ends where every backend ends it."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_new_tokens,
        "seed": draw_seed(seed, formatter.rendered(prompt.prompt), sample),
        "stop_token_ids": [formatter.end_id],
        "ignore_eos": True,  # that of the model's own settings, which may be another than the formatter's
        "detokenize": False,
    }


def read_answer(formatter: Formatter, name: str, sample: int, ids: list[int]) -> Generation:
    """An answer from its tokens, the end token among them where it was reached."""
    text, finished = formatter.decode(ids)
    return Generation(name, text, finished, tokens=len(ids), sample=sample)


def split_adapter(folder: Path) -> tuple[Path, Path | None]:
    """The base of a model that a run saved, and its adapter where it is one."""
    settings = folder / "adapter_config.json"
    if not settings.is_file():
        return folder, None
    named = str(json.loads(settings.read_text(encoding="utf-8"))["base_model_name_or_path"])
    beside = (folder / named).resolve()
    return (beside if beside.is_dir() else Path(named)), folder


def lora_rank(rank: int) -> int:
    """The smallest rank that vLLM reserves room for and that holds `rank`."""
    return next((room for room in (1, 8, 16, 32, 64, 128, 256, 320, 512) if room >= rank), rank)
