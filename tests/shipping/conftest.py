from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


def sharpened(folder: Path, seed: int) -> Any:
    """A run's model with weights so large that its answers differ from prompt to prompt, saved in its place."""
    import torch

    from plad.models.load import load_folder

    model, tokenizer = load_folder(folder)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.add_(torch.randn_like(parameter))
    shutil.rmtree(folder)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


@pytest.fixture(scope="session")
def sharp_run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with models of which each says something else to each prompt. Read it; never write to it."""
    import torch

    from plad.models import Lora
    from plad.models.load import load_folder

    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("sharp") / "run"))
    sharpened(folder / "models/teacher", 1)
    student = sharpened(folder / "models/student", 2)
    adapted = Lora(r=2, dropout=0.0).wrap(student, "../student")
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) / 4)
    shutil.rmtree(folder / "models/plad")
    adapted.save_pretrained(folder / "models/plad")
    load_folder(folder / "models/student")[1].save_pretrained(folder / "models/plad")
    return folder


@pytest.fixture(scope="session")
def shown_run(sharp_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a teacher that is asked in its own words behind an example. Read it; never write to it."""
    folder = Path(shutil.copytree(sharp_run, tmp_path_factory.mktemp("shown") / "run"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    example = {"prompt": "a green lamp", "response": "green lamp"}
    recipe["teacher"]["prompt"] = {"template": "Name it: {prompt} ", "examples": [example], "max_prompt_tokens": 80}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


@pytest.fixture
def copy_of_sharp(sharp_run: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a copy of it."""

    def make() -> Path:
        return Path(shutil.copytree(sharp_run, tmp_path / "sharp"))

    return make
