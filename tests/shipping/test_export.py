from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from plad.cli import main
from plad.errors import PladError
from plad.shipping.export import export
from plad.shipping.source import RunModel, find_model
from plad.shipping.usage import usage


def answers(folder: Path, model: Any, prompt: str) -> str:
    """As a stranger asks an exported folder: transformers alone."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    found = model.generate(**inputs, do_sample=False)
    return str(tokenizer.decode(found[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


def test_a_merged_folder_says_what_the_run_s_student_says(sharp_run: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = find_model(sharp_run)
    found = export(model, "merged", tmp_path / "out", prompts=6)
    assert model.name == "plad"
    assert found.agreement is not None
    assert (found.agreement.equal, found.agreement.alike, found.agreement.prompts) == (6, 6, 6)
    prompts = model.held_out(6)
    ours = model.greedy(prompts)
    assert len(set(ours)) == 6, "a check on answers that are all alike would say nothing"
    assert ours != find_model(sharp_run, "student").greedy(prompts)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert [answers(tmp_path / "out", whole, str(prompt.prompt)) for prompt in prompts] == ours
    settings = json.loads((tmp_path / "out/generation_config.json").read_text())
    told = {key: settings.get(key) for key in ("do_sample", "temperature", "top_p", "max_new_tokens", "eos_token_id")}
    assert told == {"do_sample": True, "temperature": 0.7, "top_p": 1.0, "max_new_tokens": 16, "eos_token_id": 1}


def test_a_teacher_is_shown_its_example_by_its_chat_template(shown_run: Path, tmp_path: Path) -> None:
    """A stranger sends the question alone."""
    from transformers import AutoModelForCausalLM

    model = find_model(shown_run, "teacher")
    found = export(model, "merged", tmp_path / "out", prompts=6).agreement
    assert (found.equal, found.alike, found.prompts) == (6, 6, 6)
    prompts, whole = model.held_out(6), AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ours = model.greedy(prompts)
    assert [answers(tmp_path / "out", whole, str(prompt.prompt)) for prompt in prompts] == ours
    bare = replace(model, recipe=model.recipe.model_copy(update={"teacher": bare_teacher(model)}))
    assert ours != bare.greedy(prompts), "without the example it says something else"
    card = (tmp_path / "out/README.md").read_text()
    assert "Every prompt stands behind an example of the recipe's" in card


def bare_teacher(model: RunModel) -> Any:
    return model.recipe.teacher.model_copy(update={"prompt": None})


def test_an_adapter_comes_with_the_base_that_the_run_made(sharp_run: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out, model = tmp_path / "out", find_model(sharp_run)
    assert export(model, "adapter", out, prompts=3).agreement.equal == 3
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(out / "base"), str(out))
    prompt = model.held_out(1)[0]
    assert answers(out, adapted, str(prompt.prompt)) == model.greedy([prompt])[0]
    from plad.models.load import load_folder

    assert load_folder(out)[0].config.model_type == "llama", "plad takes it as any adapter"


def test_an_adapter_of_a_model_that_has_a_name_names_it(copy_of_sharp: Callable[[], Path], tmp_path: Path) -> None:
    folder = copy_of_sharp()
    base = folder / "models/student"
    text = (folder / "recipe.yaml").read_text()
    start, end = text.index("student:\n"), text.index("sample:\n")
    student = f"student: {{model: {{type: pretrained, path: '{base}'}}, sft: null}}\n"
    (folder / "recipe.yaml").write_text(text[:start] + student + text[end:])
    assert export(find_model(folder), "adapter", tmp_path / "out", prompts=2).agreement.equal == 2
    assert not (tmp_path / "out/base").exists()
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == str(base)


@dataclass(frozen=True)
class Wrong(RunModel):
    """Hands out the teacher's weights for the student's."""

    def load(self) -> Any:
        return find_model(self.run.folder, "teacher").load()


def test_an_export_that_says_something_else_fails_and_is_kept(sharp_run: Path, tmp_path: Path) -> None:
    right = find_model(sharp_run, "student")
    wrong = Wrong(right.run, right.recipe, right.name)
    with pytest.raises(PladError, match=r"on 100% of the prompts at least, but 0 of 4 .* don't ship it") as told:
        export(wrong, "merged", tmp_path / "out", prompts=4)
    assert "they part at prompt" in str(told.value)
    assert (tmp_path / "out/model.safetensors").is_file()


def plad(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_what_cannot_be_exported_is_refused(sharp_run: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for arguments, told in {
        (sharp_run, tmp_path / "there"): "that is there already",
        (sharp_run, tmp_path / "x", "--model", "plod"): "has no model 'plod'. Did you mean 'plad'?",
        (tmp_path, tmp_path / "x"): "has none. `plad list` names the runs",
        (sharp_run, tmp_path / "x", "--to", "adapter", "--model", "teacher"): "teacher was trained whole",
        (sharp_run, tmp_path / "x", "--weights", "f16"): "--weights is of GGUF files",
    }.items():
        found = plad("export", *arguments)
        assert found.exit_code == 2, found.output
        assert told in found.output
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_tells_what_was_compared(sharp_run: Path, tmp_path: Path) -> None:
    found = plad("export", sharp_run, tmp_path / "out", "--model", "student", "--prompts", 2, "--json")
    told = json.loads(found.stdout)
    assert told["check"] == {"prompts": 2, "equal": 2, "alike": 2, "first": None, "share": 1.0}


def test_an_encoder_decoder_is_asked_without_a_chat_template(copy_of_sharp: Callable[[], Path], tmp_path: Path) -> None:
    import torch

    from plad.models import ScratchModel
    from plad.models.load import load_folder

    folder = copy_of_sharp()
    tokenizer = load_folder(folder / "models/student")[1]
    spec = ScratchModel(architecture="t5", width=16, layers=1, heads=2, vocabulary=320)
    model = spec.model(tokenizer, 1)
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 2)
    model.save_pretrained(folder / "models/student")
    text = (folder / "recipe.yaml").read_text()
    start = text.index("student:\n")
    (folder / "recipe.yaml").write_text(
        text[:start] + text[start:].replace("architecture: llama", "architecture: t5", 1)
    )
    found = export(find_model(folder, "student"), "merged", tmp_path / "out", prompts=4).agreement
    assert found is not None
    assert (found.equal, found.alike) == (4, 4)
    assert json.loads((tmp_path / "out/generation_config.json").read_text())["decoder_start_token_id"] == 0
    with pytest.raises(PladError, match="but student is a t5"):
        export(find_model(folder, "student"), "gguf", tmp_path / "m.gguf", prompts=0)
    recipe = find_model(folder).recipe
    worded = recipe.prompt.model_copy(update={"template": "Say: {prompt}"})
    worded_model = replace(find_model(folder, "student"), recipe=recipe.model_copy(update={"prompt": worded}))
    assert "tokenizer('Say: …', return_tensors='pt')" in "".join(usage(worded_model, "merged", None))
