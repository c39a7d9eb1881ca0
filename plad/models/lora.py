"""Low-rank adapters (arXiv 2106.09685): the paper's r = 8, α = 32, dropout 0.1 by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from plad.errors import PladError, nearest
from plad.spec import Spec


class Lora(Spec):
    """LoRA on every linear layer but the output head, or on the layers named."""

    r: int = Field(8, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    target_modules: tuple[str, ...] | str = "all-linear"

    def wrap(self, model: Any, base_path: str) -> Any:
        """`model` with a fresh trainable adapter; everything else is frozen.

        Args:
            base_path: where the base weights are found again when the adapter is loaded.

        Raises:
            PladError: no layer has one of the names.
        """
        from peft import LoraConfig, get_peft_model

        if not isinstance(self.target_modules, str):
            _check_names(self.target_modules, model)
        model.name_or_path = base_path
        model.config.name_or_path = base_path
        targets = self.target_modules if isinstance(self.target_modules, str) else list(self.target_modules)
        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # peft says int, and only divides it by r
            lora_dropout=self.dropout,
            target_modules=targets,
            task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
        )
        try:
            wrapped = get_peft_model(model, config)
        except ValueError as error:
            raise PladError(f"lora.target_modules must name layers of the model: {error}") from None
        chosen: Any = wrapped.peft_config["default"]
        if isinstance(chosen.target_modules, set):
            # A set is saved in another order by every process.
            chosen.target_modules = sorted(chosen.target_modules)
        return wrapped


def _check_names(targets: tuple[str, ...], model: Any) -> None:
    """Every name must be some layer's; peft is content when one of them is."""
    last = sorted({name.rsplit(".", 1)[-1] for name, _ in model.named_modules()})
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name, _ in model.named_modules()):
            raise PladError(
                f"lora.target_modules must name layers of the model, but {target!r} is none of them."
                f"{nearest(target, last)}"
            )


def load_adapter(folder: Path, dtype: str = "float32") -> Any:
    """The base model that the adapter in `folder` names, with the adapter merged into it.

    Raises:
        PladError: the base is no longer there, or is not the one that the adapter was trained on.
    """
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    _check_safe(folder)

    base_path = str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path)
    # A run's own folders are named relative to the adapter, so that a run can be moved.
    beside = (folder / base_path).resolve()
    if (beside / "adapter_config.json").is_file():
        base = load_adapter(beside, dtype)
    else:
        base = _base(folder, str(beside) if beside.is_dir() else base_path, dtype)
    try:
        wrapped = PeftModel.from_pretrained(base, str(folder))
    except (RuntimeError, ValueError, KeyError) as error:
        raise _misfit(folder, base_path, _first_line(error)) from None
    if strangers := _adapted(folder) ^ {name for name in get_peft_model_state_dict(wrapped) if "lora_" in name}:
        raise _misfit(folder, base_path, f"{min(strangers)} is in one of the two alone")
    return wrapped.merge_and_unload()


def _adapted(folder: Path) -> set[str]:
    """The matrices of an adapter; peft passes over those that it finds no layer for."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        return {name for name in file.keys() if "lora_" in name}  # noqa: SIM118  # it is no mapping


def _misfit(folder: Path, base: str, why: str) -> PladError:
    return PladError(
        f"an adapter belongs to the model that it was trained on, but {folder} does not fit {base}: {why}. "
        "Name its own base in adapter_config.json, or train it again."
    )


def _check_safe(folder: Path) -> None:
    """peft would take a pickle where there is nothing else."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise PladError(
            f"adapters must be .safetensors files, since a pickle can run code, but {folder} has no "
            "adapter_model.safetensors. Load it where you trust it and save it with `save_pretrained`."
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 and lines[0].endswith(":") else next(iter(lines), type(error).__name__))[:300]


def _base(adapter: Path, path: str, dtype: str) -> Any:
    from plad.models.load import PretrainedModel

    source = PretrainedModel(path=path, dtype=dtype)
    try:
        source.check()
    except PladError as error:
        raise PladError(f"the adapter in {adapter} needs its base model: {error}") from None
    return source.model(None, seed=0)
