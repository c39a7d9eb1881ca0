"""vLLM on many machines by Ray's own processor for language models: it lets several batches into an engine at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plad.generation.base import Sampling
from plad.generation.vllm import VLLM, read_answer, request_settings, split_adapter
from plad.models.load import Precision
from plad.models.prompts import Formatter
from plad.records import Generation, Prompt

if TYPE_CHECKING:
    from plad.generation.ray import Ray


def runs_by_processor(engine: Any, folder: Path) -> bool:
    """Whether Ray's processor is installed and can run this model: it can't merge an adapter below an adapter."""
    if not isinstance(engine, VLLM) or split_adapter(split_adapter(folder)[0])[1] is not None:
        return False
    if importlib.util.find_spec("vllm") is None:
        return False
    try:
        import ray.data.llm  # noqa: F401
    except ImportError:
        return False
    return True


class Processor:
    """Ray's processor for one model that a run saved."""

    def __init__(self, spec: Ray, folder: Path, formatter: Formatter, dtype: Precision, batch_size: int):
        self.formatter, self.batch_size = formatter, batch_size
        self.base, self.adapter = split_adapter(folder)
        self.config = _config(spec, self.base, self.adapter, dtype, batch_size)

    def answers(self, wanted: Sequence[tuple[Prompt, int]], sampling: Sampling, seed: int) -> Iterator[Generation]:
        """Each sample is a row, and a request of its own, with a seed of its own."""
        import ray
        from ray.data.llm import build_processor

        rows = [self._row(prompt, sample, sampling, seed) for prompt, sample in wanted]
        blocks = -(-len(rows) // self.batch_size)
        answered = build_processor(self.config, preprocess=dict, postprocess=_result)(
            ray.data.from_items(rows, override_num_blocks=blocks)
        )
        for row in answered.iter_rows():
            yield read_answer(self.formatter, row["id"], int(row["sample"]), list(row["tokens"]))

    def _row(self, prompt: Prompt, sample: int, sampling: Sampling, seed: int) -> dict[str, Any]:
        ids = self.formatter.prompt_ids(prompt.prompt)
        settings = request_settings(self.formatter, prompt, sample, sampling, seed)
        model = str(self.adapter or self.base)  # an adapter is asked for as a model of its own
        return {
            "id": prompt.id,
            "sample": sample,
            "model": model,
            "tokenized_prompt": ids,
            "sampling_params": settings,
        }


def _config(spec: Ray, base: Path, adapter: Path | None, dtype: Precision, batch_size: int) -> Any:
    from ray.data.llm import vLLMEngineProcessorConfig

    engine: Any = spec.engine
    shards = engine.tensor_parallel
    bundle = {"CPU": spec.cpus / shards} | ({"GPU": spec.gpus / shards} if spec.gpus else {})
    return vLLMEngineProcessorConfig(
        model_source=str(base),
        engine_kwargs=engine.settings(adapter, engine.dtype or dtype, batch_size),
        batch_size=batch_size,
        concurrency=(spec.workers, spec.workers),
        placement_group_config={"bundles": [bundle] * shards},
        log_engine_metrics=False,  # they need a port of their own for metrics
        # Prompts are rendered and answers are read by the project's own formatter.
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
    )


def _result(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "sample": row["sample"], "tokens": row["generated_tokens"]}
