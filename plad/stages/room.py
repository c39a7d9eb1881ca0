"""Whether teacher and student have room beside each other, found out before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from plad.config import Recipe, Training
from plad.errors import PladError
from plad.models.quantise import BYTES as QUANTISED

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
    ways += ["model.quantise: 4bit holds frozen weights in a seventh of float32"] if recipe.distill.lora else []
    ways.append("dtype: bfloat16 halves float32, and methods such as plad and seqkd need no look inside the teacher")
    return f"{'; '.join(ways)}."


@contextmanager
def told_what_helps(ways: Sequence[str]) -> Iterator[None]:
    """Turn a lack of memory, on a GPU or on a processor, into an error that says what to set.

    Raises:
        PladError: memory ran out within.
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(error, ways) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # a processor's allocator
            raise
        raise _out_of_memory(error, ways) from error


def ways_to_train(settings: Training, quantised: bool) -> list[str]:
    """What makes a training smaller and is not set yet, what costs least first (docs/memory.md)."""
    halved = max(1, (settings.device_tokens or 16384) // 2)
    ways = [f"device_tokens: {halved} holds half as many tokens at once and changes no step"]
    if settings.lora is None:
        ways.append("lora: {} trains an adapter, so that the weights need no gradients and no moments")
    if not settings.gradient_checkpointing:
        ways.append("gradient_checkpointing: true computes activations again in place of keeping them")
    if settings.lora is not None and not quantised:
        ways.append("model.quantise: 4bit holds the frozen weights in a seventh of float32 (QLoRA)")
    return [*ways, "prompt.max_prompt_tokens lowers what the longest row takes"]


def _out_of_memory(error: BaseException, ways: Sequence[str]) -> PladError:
    asked = next(iter(str(error).splitlines()), "").rstrip(".")
    return PladError(f"memory ran out ({asked or type(error).__name__}). In this order: {'; '.join(ways)}.")


def _weights(model: Any) -> int:
    """Bytes."""
    size = QUANTISED[model.quantise] if model.quantise else BYTES.get(model.dtype, 4)
    return int(int(model.parameters(model.tokenizer(()))) * size)


def _memory() -> int:
    import psutil
    import torch

    return int(torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else psutil.virtual_memory().total)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
