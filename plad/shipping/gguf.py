"""A model of a run as one GGUF file, for llama.cpp and what is built on it; refused before work where it can't be.

llama.cpp computes the two halves of a rotated pair of a Llama side by side, transformers half a head apart: the rows of
queries and keys change places. Gemma's norms multiply by 1 + w here and by w there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.models.prompts import Formatter
from plad.records import Prompt
from plad.shipping.check import Agreement, compare
from plad.shipping.export import Exported, rendered_text
from plad.shipping.source import RunModel
from plad.shipping.template import beginning, chat_template
from plad.shipping.vocabulary import add_vocabulary, check_vocabulary


@dataclass(frozen=True)
class Architecture:
    """How a kind of model is written. `pairs`: heads are stored with the halves of rotated pairs side by side."""

    name: str
    pairs: bool = False
    norm_offset: float = 0.0


ARCHITECTURES = {
    "llama": Architecture("llama", pairs=True),
    "qwen2": Architecture("qwen2"),
    "gemma3_text": Architecture("gemma3", norm_offset=1.0),
}
"""By transformers' model_type."""

WEIGHTS = ("f32", "f16", "bf16", "q8_0")
"""What matrices are stored as; vectors are f32 always."""


def export_gguf(model: RunModel, out: Path, prompts: int, weights: str = "f16") -> Exported:
    """Write `out` and compare llama.cpp's greedy answers with those of the run's own model.

    Raises:
        PladError: GGUF or llama.cpp cannot hold the model or its tokenizer, or one of their packages is missing.
    """
    _check_packages(bool(prompts))
    if weights not in WEIGHTS:
        raise PladError(f"the weights of a GGUF file are one of {', '.join(WEIGHTS)}, but this is {weights!r}.")
    _check_kind(model)
    whole, tokenizer, formatter = model.load()
    check_vocabulary(tokenizer)
    template = chat_template(formatter, model.conversations)
    partial = out.with_name(f".{out.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(partial, whole, formatter, template, weights)
    partial.replace(out)
    if not prompts:
        return Exported(out, "gguf", None, "no prompts were asked for")
    tokenizer.chat_template = template
    return Exported(out, "gguf", _checked(model, out, tokenizer, formatter, model.comparable(prompts, formatter)))


def write_gguf(path: Path, model: Any, formatter: Formatter, template: str, weights: str) -> None:
    """Write config, tokenizer and weights."""
    from gguf import GGUFWriter, LlamaFileType

    config, tokenizer = model.config, formatter.tokenizer
    kind = ARCHITECTURES[config.model_type]
    writer = GGUFWriter(path, kind.name)
    _add_shape(writer, config, kind)
    names = {"f32": "ALL_F32"}
    writer.add_file_type(LlamaFileType[names.get(weights, f"MOSTLY_{weights.upper()}")])
    add_vocabulary(writer, tokenizer, config.vocab_size, formatter.end_id)
    writer.add_add_bos_token(bool(beginning(tokenizer)))
    writer.add_chat_template(template)
    for name, array, stored in _tensors(model, kind, weights):
        writer.add_tensor(name, array, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: Any, config: Any, kind: Architecture) -> None:
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if kind.name != "gemma3":
        writer.add_rope_dimension_count(width)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        return
    writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_sliding_window(config.sliding_window)


def _tensors(model: Any, kind: Architecture, weights: str) -> Iterator[tuple[str, Any, Any]]:
    """Each tensor's name in GGUF, its numbers, and what they are stored as."""
    import torch
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGMLQuantizationType, get_tensor_name_map
    from gguf.quants import quantize

    config = model.config
    arch = next(arch for arch in MODEL_ARCH if MODEL_ARCH_NAMES[arch] == kind.name)
    names = get_tensor_name_map(arch, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = tensor.detach().to("cpu", torch.float32).numpy()
        if kind.pairs and name.split(".")[-2] in ("q_proj", "k_proj"):
            array = _side_by_side(array, config.num_key_value_heads if "k_proj" in name else config.num_attention_heads)
        if name.endswith("norm.weight"):
            array = array + kind.norm_offset
        stored = GGMLQuantizationType[weights.upper() if array.ndim > 1 else "F32"]
        if stored == GGMLQuantizationType.Q8_0 and array.shape[-1] % 32:
            stored = GGMLQuantizationType.F16  # blocks of 32 numbers
        if (place := names.get_name(name, try_suffixes=(".weight", ".bias"))) is None:
            raise PladError(f"a {kind.name} in a GGUF file has no place for {name}. Export it with --to merged.")
        yield place, quantize(array, stored), stored


def _side_by_side(array: Any, heads: int) -> Any:
    """Rows of each head from (first halves, second halves) to pairs."""
    rows = array.shape[0]
    return array.reshape(heads, 2, rows // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def _check_packages(compared: bool) -> None:
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise PladError("GGUF files need the extra `gguf`: pip install 'plad[gguf]'.")
    if compared and find_spec("llama_cpp") is None:
        raise PladError(
            "a GGUF file is asked by llama.cpp whether it says what the run's model says, but llama-cpp-python is not "
            "installed: pip install 'plad[llama-cpp]'; or leave the check away with --prompts 0."
        )


def _check_kind(model: RunModel) -> None:
    """Refuse an architecture that this does not write, by its config alone."""
    from transformers import AutoConfig

    from plad.shipping.export import base_folder

    config: Any = AutoConfig.from_pretrained(base_folder(model))
    if config.model_type not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise PladError(
            f"a GGUF file is written of a {known}, but {model.name} is a {config.model_type}. Export it with --to "
            "merged, and convert that folder with llama.cpp's own converter if it knows the kind."
        )
    rope = config.rope_parameters
    ropes = [rope] if "rope_type" in rope else list(rope.values())
    if scaled := [part["rope_type"] for part in ropes if part["rope_type"] != "default"]:
        raise PladError(
            f"a GGUF file is written of models whose positions are not scaled, but {model.name} has {scaled[0]}. "
            "Export it with --to merged, and convert that folder with llama.cpp's own converter."
        )


def _checked(model: RunModel, out: Path, tokenizer: Any, formatter: Formatter, prompts: Sequence[Prompt]) -> Agreement:
    """Ask llama.cpp, with its keys and values kept in full precision, and compare the tokens of the prompts too."""
    from llama_cpp import Llama

    ours = model.greedy(list(prompts))
    most = formatter.spec.max_prompt_tokens + model.sampling.max_new_tokens
    engine = Llama(str(out), n_ctx=most + 8, n_batch=512, type_k=0, type_v=0, verbose=False)
    ids, theirs = [], []
    for prompt in prompts:
        text = rendered_text(tokenizer, prompt)
        ids.append(engine.tokenize(text.encode(), add_bos=False, special=True))
        # Its own completions leave out bytes that are no character.
        drawn = engine.generate(ids[-1], top_k=1, temp=0.0, repeat_penalty=1.0)
        new = list(islice(takewhile(lambda token: token != formatter.end_id, drawn), model.sampling.max_new_tokens))
        theirs.append(formatter.decode(new)[0])
    engine.close()
    return compare(list(prompts), ours, theirs, ([formatter.prompt_ids(prompt.prompt) for prompt in prompts], ids))
