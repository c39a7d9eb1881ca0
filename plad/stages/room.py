"""Whether teacher and student have room beside each other, found out before anything is loaded."""

from __future__ import annotations

from typing import Any

from plad.config import Recipe
from plad.errors import PladError

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ADAMW = 2
"""Moments of a weight that is trained, each as large as the weight itself, beside its gradient."""


def check_memory(recipe: Recipe, have: int | None = None) -> None:
    """Refuse a teacher and a student whose weights and optimiser alone are more than there is.

    Activations, the head's logits and libraries come on top of it, so that what passes may still be too much. Models
    from scratch, whose tokenizer is yet to be trained, are small and are not counted.

    Args:
        have: bytes; those of the GPU, or of the machine where there is none.

    Raises:
        PladError: with what is needed, what is there, and the remedy.
    """
    if any(getattr(recipe, name).model.type != "pretrained" for name in ("teacher", "student")):
        return
    teacher, student = (_weights(getattr(recipe, name).model) for name in ("teacher", "student"))
    learns = 0 if recipe.distill.lora else student * (1 + ADAMW)
    apart = recipe.distill.teacher_logits is not None
    need = max(teacher, student + learns) if apart else teacher + student + learns
    have = have if have is not None else _memory()
    if need > have:
        raise PladError(
            f"the teacher's weights ({_gb(teacher)}), the student's ({_gb(student)}) and what its training holds "
            f"({_gb(learns)}) must have room {'one after the other' if apart else 'together'}, but there are "
            f"{_gb(have)}. {_remedy(recipe, apart)}"
        )


def _remedy(recipe: Recipe, apart: bool) -> str:
    ways = [] if apart else ["distill.teacher_logits: {top_k: 64} keeps on disk what the teacher says"]
    ways += [] if recipe.distill.lora else ["distill.lora: {} trains an adapter"]
    ways.append("dtype: bfloat16 halves float32, and methods such as plad and seqkd need no look inside the teacher")
    return f"{'; '.join(ways)}."


def _weights(model: Any) -> int:
    """Bytes."""
    return int(model.parameters(model.tokenizer(()))) * BYTES.get(model.dtype, 4)


def _memory() -> int:
    import psutil
    import torch

    return int(torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else psutil.virtual_memory().total)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
