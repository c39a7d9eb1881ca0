"""How a model that left its run is used: the code of a card, and the command of a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from plad.errors import PladError
from plad.report.markdown import fenced
from plad.shipping.source import RunModel

ENGINES = ("transformers", "vllm", "llama.cpp")
"""Servers with an OpenAI-compatible endpoint."""


def usage(model: RunModel, form: str, repo_id: str | None) -> list[str]:
    """Paragraphs of the card."""
    name = repo_id or "THIS_FOLDER"
    if form == "gguf":
        return [fenced(f"llama-server --model {model.name}.gguf --jinja", "sh"), _beginning(model)]
    lines = {"adapter": _adapter(model, name)}.get(form, _whole(model, name))
    asked = 'messages = [{"role": "user", "content": "…"}]\n'
    call = (
        "inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors='pt', "
        "return_dict=True)\nprint(tokenizer.decode(model.generate(**inputs)[0, inputs['input_ids'].shape[1]:], "
        "skip_special_tokens=True))"
    )
    if _encoder(model):
        asked, call = (
            "",
            f"print(tokenizer.decode(model.generate(**tokenizer({_shown(model)!r}, return_tensors='pt'))[0]))",
        )
        return [fenced(f"{lines}\n{asked}{call}", "python"), _beginning(model)]
    told = "The chat template is the prompt format that it was trained with, and generation_config.json its sampling."
    return [fenced(f"{lines}\n{asked}{call}", "python"), f"{told} {_beginning(model)}".rstrip()]


def _shown(model: RunModel) -> str:
    """A prompt, …, as the run showed it to an encoder, whose tokenizer has no chat template to do so."""
    return (
        model.prompt.sent(({"role": "user", "content": "…"},), chat=False)
        if model.conversations
        else model.prompt.plain("…")
    )


def _beginning(model: RunModel) -> str:
    """That a question is not all that the model is shown."""
    if not (count := len(model.prompt.examples)):
        return ""
    examples = "an example" if count == 1 else f"{count} examples"
    return f"Every prompt stands behind {examples} of the recipe's, which take room in its context."


def _whole(model: RunModel, name: str) -> str:
    return (
        f"from transformers import {_loader(model)}, AutoTokenizer\n\n"
        f"model = {_loader(model)}.from_pretrained({name!r})\ntokenizer = AutoTokenizer.from_pretrained({name!r})"
    )


def _adapter(model: RunModel, name: str) -> str:
    from plad.shipping.export import public_base

    base = public_base(model)
    where = f"{base!r}" if base else f"{name!r}, subfolder='base'"
    return (
        f"from peft import PeftModel\nfrom transformers import {_loader(model)}, AutoTokenizer, GenerationConfig\n\n"
        f"base = {_loader(model)}.from_pretrained({where})\n"
        f"model = PeftModel.from_pretrained(base, {name!r})\n"
        f"model.generation_config = GenerationConfig.from_pretrained({name!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({name!r})"
    )


def _loader(model: RunModel) -> str:
    return "AutoModelForSeq2SeqLM" if _encoder(model) else "AutoModelForCausalLM"


def _encoder(model: RunModel) -> bool:
    return bool(model.role.model.shape().encoder_decoder)


@dataclass(frozen=True)
class Server:
    """A server's command, and the name under which it answers."""

    command: Sequence[str]
    model: str

    def shown(self) -> str:
        """As one line for a shell."""
        return " ".join(map(quote, self.command))


def server(engine: str, exported: Path, port: int, name: str) -> Server:
    """The command that serves an exported model on this machine.

    Args:
        exported: a merged folder, an adapter's folder, or a GGUF file, as `plad export` makes them.
        name: what clients call the model, where the engine lets one choose.

    Raises:
        PladError: the engine cannot serve that.
    """
    adapted = (exported / "adapter_config.json").is_file()
    gguf = exported.suffix == ".gguf"
    if gguf != (engine == "llama.cpp"):
        wanted = "a GGUF file (--to gguf)" if engine == "llama.cpp" else "a folder (--to merged)"
        raise PladError(
            f"{engine} serves {wanted}, but {exported} is another. Choose another --engine, or export it so."
        )
    where = ["--port", str(port), "--host", "127.0.0.1"]
    if gguf:
        return Server(["llama-server", "--model", str(exported), "--alias", name, "--jinja", *where], name)
    if engine == "transformers":
        if adapted:
            raise PladError(
                f"`transformers serve` serves whole models, but {exported} is an adapter. Export it with --to merged, "
                "or choose --engine vllm."
            )
        return Server(["transformers", "serve", str(exported), *where], str(exported))
    if not adapted:
        return Server(["vllm", "serve", str(exported), "--served-model-name", name, *where], name)
    base = _base_of(exported)
    rank = int(json.loads((exported / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    lora = ["--enable-lora", "--max-lora-rank", str(max(8, 1 << (rank - 1).bit_length()))]
    return Server(
        ["vllm", "serve", base, *lora, "--lora-modules", f"{name}={exported}", "--tokenizer", str(exported), *where],
        name,
    )


def _base_of(adapter: Path) -> str:
    named = str(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"])
    beside = adapter / named
    return str(beside) if beside.is_dir() else named
