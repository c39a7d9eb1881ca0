from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from servers import model_server

from plad.cli import main
from plad.errors import PladError
from plad.generation import OpenAI
from plad.generation.store import Usage
from plad.shipping.export import export
from plad.shipping.serving import exported_for
from plad.shipping.source import find_model
from plad.shipping.usage import server


def line(engine: str, folder: Path) -> str:
    return server(engine, folder, 8000, "tiny").shown()


def test_each_engine_gets_its_own_command(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    where = "--port 8000 --host 127.0.0.1"
    merged, file = tmp_path / "merged", tmp_path / "m.gguf"
    assert line("transformers", merged) == f"transformers serve {merged} {where}"
    assert line("vllm", merged) == f"vllm serve {merged} --served-model-name tiny {where}"
    assert line("llama.cpp", file) == f"llama-server --model {file} --alias tiny --jinja {where}"
    with pytest.raises(PladError, match=r"llama\.cpp serves a GGUF file \(--to gguf\)"):
        line("llama.cpp", merged)
    with pytest.raises(PladError, match=r"vllm serves a folder \(--to merged\)"):
        line("vllm", file)


def test_vllm_gets_an_adapter_beside_its_base(sharp_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(find_model(sharp_run), "adapter", out, prompts=0)
    assert line("vllm", out) == (
        f"vllm serve {out}/base --enable-lora --max-lora-rank 8 --lora-modules tiny={out} --tokenizer {out} "
        "--port 8000 --host 127.0.0.1"
    )
    with pytest.raises(PladError, match="serves whole models"):
        line("transformers", out)


def test_an_export_is_made_once_and_again_when_the_model_has_changed(copy_of_sharp: Callable[[], Path]) -> None:
    folder = copy_of_sharp()
    first, called = exported_for(folder, "student", "vllm")
    assert (first, called) == (folder / "exports/student", "tiny-student")
    made = (first / "model.safetensors").stat().st_mtime_ns
    assert exported_for(folder, "student", "transformers")[0] == first
    assert (first / "model.safetensors").stat().st_mtime_ns == made
    teacher = folder / "models/teacher/model.safetensors"
    (folder / "models/student/model.safetensors").write_bytes(teacher.read_bytes())
    exported_for(folder, "student", "vllm")
    assert (first / "model.safetensors").stat().st_mtime_ns != made
    assert exported_for(first, None, "vllm") == (first, "student")


def test_a_program_that_is_missing_is_told_of(
    copy_of_sharp: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of_sharp()
    monkeypatch.setattr("shutil.which", lambda name: None)
    found: Any = CliRunner().invoke(main, ["serve", str(folder), "--engine", "vllm"])
    assert found.exit_code == 2
    assert "served by `vllm`, which is not installed: pip install vllm" in found.output


@pytest.mark.slow
def test_a_real_server_says_what_the_run_says(copy_of_sharp: Callable[[], Path], tmp_path: Path) -> None:
    """`transformers serve`, asked by plad's own client: messages in, the chat template of the export between."""
    for package in ("openai", "fastapi", "uvicorn"):
        pytest.importorskip(package)
    folder = copy_of_sharp()
    model = find_model(folder)
    exported, _ = exported_for(folder, None, "transformers")
    prompts = model.held_out(4)
    with model_server(exported, tmp_path / "log") as url:
        asked = OpenAI(model=str(exported), base_url=url, api_key_env=None).generator(model.recipe.prompt, Usage())
        greedy = model.sampling.model_copy(update={"temperature": 0.0})
        found = {answer.id: answer.response.strip() for answer in asked.generate(prompts, greedy, 1)}
    assert [found[prompt.id] for prompt in prompts] == model.greedy(prompts)
