"""A model of a run as a folder or a file that others load, and whether it still says the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plad.errors import PladError
from plad.models.prompts import Formatter
from plad.records import Prompt
from plad.runs import publish
from plad.shipping.check import Agreement, compare
from plad.shipping.source import RunModel
from plad.shipping.template import chat_template

Form = Literal["adapter", "merged", "gguf"]

LEAST = {"adapter": 1.0, "merged": 1.0, "gguf": 0.9}
"""The share of answers that must be equal. Another engine adds in another order, which may tip a close token."""


@dataclass(frozen=True)
class Exported:
    """What was written, and the check of it; None where none was asked for or none could be made, and why."""

    path: Path
    form: Form
    agreement: Agreement | None
    unchecked: str = ""

    def lines(self) -> list[str]:
        """What a person is told of the check."""
        return self.agreement.lines() if self.agreement else [f"not compared with the run's model: {self.unchecked}"]

    def check_json(self) -> dict[str, Any] | None:
        """The check for machines."""
        return self.agreement.to_json() if self.agreement else None


def export(model: RunModel, form: Form, out: Path, prompts: int = 8, weights: str | None = None) -> Exported:
    """Write a model of a run to `out` and compare its greedy answers with those of the run's own model.

    Args:
        prompts: held-out prompts to compare on; 0 compares nothing.
        weights: of a GGUF file: f32, f16, bf16 or q8_0.

    Raises:
        PladError: `out` is there already, the model has no such form, or the two say different things; what was
            written is kept then.
    """
    if out.exists():
        raise PladError(f"an export makes {out}, but that is there already. Choose another name, or remove it.")
    if form == "gguf":
        from plad.shipping.gguf import export_gguf

        found = export_gguf(model, out, prompts, weights or "f16")
    else:
        if weights is not None:
            raise PladError(f"--weights is of GGUF files; {form} keeps the precision of the recipe. Leave it away.")
        found = _export_folder(model, form, out, prompts)
    _insist(found)
    return found


def _export_folder(model: RunModel, form: Form, out: Path, prompts: int) -> Exported:
    from plad.shipping.card import model_card

    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    formatter = write_adapter(model, partial) if form == "adapter" else write_merged(model, partial)
    (partial / "README.md").write_text(model_card(model, form), encoding="utf-8")
    publish(partial, out)
    if not prompts:
        return Exported(out, form, None, "no prompts were asked for")
    return Exported(out, form, _checked(model, out, formatter, model.comparable(prompts, formatter)))


def write_merged(model: RunModel, out: Path) -> Formatter:
    """The whole model, its tokenizer with the run's prompt format as its chat template, and the run's sampling."""
    whole, tokenizer, formatter = model.load()
    return _save(model, whole, tokenizer, formatter, out)


def write_adapter(model: RunModel, out: Path) -> Formatter:
    """The adapter alone where its base has a name of its own; where a run made the base, with it, in `base`.

    Raises:
        PladError: the model was trained whole.
    """
    if not model.adapted:
        raise PladError(
            f"an adapter is what LoRA trains, but {model.name} was trained whole. Export it with --to merged."
        )
    from peft import PeftConfig

    from plad.models.load import load_folder

    shutil.copytree(model.folder, out, ignore=shutil.ignore_patterns("*.jsonl"))
    _, tokenizer, formatter = model.load()
    config: Any = PeftConfig.from_pretrained(str(out))
    if (base := public_base(model)) is None:
        beside = (model.folder / config.base_model_name_or_path).resolve()
        whole, _ = load_folder(beside, model.dtype)
        _save(model, whole, tokenizer, formatter, out / "base")
        base = "base"
    config.base_model_name_or_path = base
    config.save_pretrained(str(out))
    _dress(model, tokenizer, formatter, out)
    return formatter


def public_base(model: RunModel) -> str | None:
    """The hub id or folder whose weights an adapter of the run belongs to as they are; None where the run made them."""
    role, source = model.role, model.role.model
    if source.type != "pretrained" or source.keep_layers is not None:
        return None
    fresh = role.sft is None or model.name in ("teacher", "student")
    return str(source.path) if fresh else None


def base_folder(model: RunModel) -> Path:
    """Where the config of the model lies: an adapter has none of its own."""
    import json

    folder = model.folder
    while (file := folder / "adapter_config.json").is_file():
        named = str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])
        beside = (folder / named).resolve()
        folder = beside if beside.is_dir() else Path(named)
    return folder


def _save(model: RunModel, whole: Any, tokenizer: Any, formatter: Formatter, out: Path) -> Formatter:
    from transformers import GenerationConfig

    # The settings of whoever trained the base would fill what ours leave open.
    whole.generation_config = GenerationConfig()
    whole.save_pretrained(out)
    _dress(model, tokenizer, formatter, out)
    return formatter


def _dress(model: RunModel, tokenizer: Any, formatter: Formatter, out: Path) -> None:
    """Beside the weights: the tokenizer, the prompt format as a chat template, and how the run sampled."""
    from transformers import GenerationConfig

    if not formatter.encoder_decoder:
        tokenizer.chat_template = chat_template(formatter, model.conversations)
    tokenizer.save_pretrained(out)
    GenerationConfig(**generation_settings(model, formatter)).save_pretrained(out)


def generation_settings(model: RunModel, formatter: Formatter) -> dict[str, Any]:
    """The run's sampling in the words of transformers' generation_config.json."""
    sampling, end = model.sampling, formatter.end_id
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    start = {"decoder_start_token_id": _first_token(model)} if formatter.encoder_decoder else {}
    return {
        "do_sample": sampling.temperature > 0,
        "max_new_tokens": sampling.max_new_tokens,
        "eos_token_id": end,
        "pad_token_id": end if formatter.tokenizer.pad_token_id is None else formatter.tokenizer.pad_token_id,
        **start,
        **(drawn if sampling.temperature > 0 else {}),
    }


def _first_token(model: RunModel) -> int:
    """What a decoder begins with."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(base_folder(model))
    return int(config.decoder_start_token_id)


def _checked(model: RunModel, out: Path, formatter: Formatter, prompts: Sequence[Prompt]) -> Agreement:
    """Ask what was written as its users will: transformers' own loaders, chat template and `generate`."""
    import torch
    from transformers import AutoTokenizer

    asked, ours = list(prompts), model.greedy(list(prompts))
    written, tokenizer = load_exported(model, out), AutoTokenizer.from_pretrained(out)
    rendered = [_rendered(tokenizer, formatter, prompt) for prompt in asked]
    theirs = []
    for ids in rendered:
        given = torch.tensor([ids])
        with torch.no_grad():
            new = written.generate(
                given,
                attention_mask=torch.ones_like(given),
                do_sample=False,
                **dict.fromkeys(("temperature", "top_p", "top_k")),
            )
        answer = new[0] if formatter.encoder_decoder else new[0, len(ids) :]
        theirs.append(str(tokenizer.decode(answer, skip_special_tokens=True)).strip())
    return compare(asked, ours, theirs, ([formatter.prompt_ids(prompt.prompt) for prompt in asked], rendered))


def load_exported(model: RunModel, out: Path) -> Any:
    """An exported folder, loaded without any of our own loaders."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    loader: Any = AutoModelForSeq2SeqLM if model.role.model.shape().encoder_decoder else AutoModelForCausalLM
    dtype = getattr(torch, model.dtype)
    if not (out / "adapter_config.json").is_file():
        return loader.from_pretrained(out, dtype=dtype, use_safetensors=True).eval()
    base = out / "base" if (out / "base").is_dir() else Path(public_base(model) or "")
    adapted: Any = PeftModel.from_pretrained(
        loader.from_pretrained(base, dtype=dtype, use_safetensors=True), str(out)
    ).eval()
    from transformers import GenerationConfig

    adapted.generation_config = adapted.base_model.generation_config = GenerationConfig.from_pretrained(out)
    return adapted


def _rendered(tokenizer: Any, formatter: Formatter, prompt: Prompt) -> list[int]:
    """A prompt as a user's message under the exported tokenizer; an encoder's has no chat template."""
    if formatter.encoder_decoder:
        return formatter.prompt_ids(prompt.prompt)
    return list(tokenizer(rendered_text(tokenizer, prompt), add_special_tokens=False)["input_ids"])


def rendered_text(tokenizer: Any, prompt: Prompt) -> str:
    """A prompt, sent as a user's message or as the conversation that it is, under the chat template."""
    text = prompt.prompt
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else [dict(message) for message in text]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _insist(found: Exported) -> None:
    """Fail where an export says something else; it is kept, to be looked at."""
    told = found.agreement
    if told is None or (told.share >= LEAST[found.form] and told.alike in (None, told.prompts)):
        return
    raise PladError(
        f"an export must answer as the run's model does, on {LEAST[found.form]:.0%} of the prompts at least, but "
        f"{'; '.join(line.strip() for line in told.lines())}. {found.path} is kept, to be looked at; don't ship it."
    )
