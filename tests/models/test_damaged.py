"""Models that are cut short, pickled, or made of parts of two: refused in words, and no code of theirs is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from test_load import save, scratch

from plad.errors import PladError
from plad.models import Lora, PretrainedModel
from plad.models.load import load_folder
from plad.models.readable import check_fits


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


def adapter(folder: Path, base: Path, architecture: str = "llama", **changes: Any) -> Path:
    """An adapter trained on a model like that in `base`."""
    model, tokenizer = scratch(architecture, **changes)
    Lora(r=2).wrap(model, f"../{base.name}").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_weights_cut_short_are_refused_with_the_remedy(keep: int, tmp_path: Path) -> None:
    save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(PladError, match=r"does not load: .*\. Where a run made it, remove it and run that again"):
        load_folder(tmp_path)
    with pytest.raises(PladError, match=r"does not load: .*\. Fetch it, or save it, again\."):
        PretrainedModel(path=str(tmp_path)).model(None, 0)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "adapter_config.json", "adapter_model.safetensors"])
def test_other_files_cut_short(name: str, tmp_path: Path) -> None:
    save(tmp_path / "base")
    folder = adapter(tmp_path / "adapter", tmp_path / "base") if name.startswith("adapter") else tmp_path / "base"
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(PladError):
        load_folder(folder)


@pytest.mark.parametrize("changes", [{"width": 32}, {"layers": 3}, {"architecture": "t5"}])
def test_an_adapter_of_another_base_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    save(tmp_path / "base")
    folder = adapter(tmp_path / "adapter", tmp_path / "base", **changes)
    with pytest.raises(PladError, match="an adapter belongs to the model that it was trained on"):
        load_folder(folder)


def test_a_pickled_adapter_is_refused_unread(tmp_path: Path) -> None:
    save(tmp_path / "base")
    folder = adapter(tmp_path / "adapter", tmp_path / "base")
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(PladError, match=r"adapters must be \.safetensors files, since a pickle can run code"):
        load_folder(folder)
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_beside_the_weights_is_not_read(tmp_path: Path) -> None:
    model = save(tmp_path)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    loaded, _ = load_folder(tmp_path)
    assert not (tmp_path / "sprung").exists()
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))


def test_the_trap_of_these_tests_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "small")
    _, other = scratch(vocabulary=310)
    for file in (tmp_path / "small").glob("tokenizer*"):
        file.unlink()
    other.add_tokens([f"extra{n}" for n in range(200)])
    other.save_pretrained(tmp_path / "small")
    spec = PretrainedModel(path=str(tmp_path / "small"))
    with pytest.raises(PladError, match=r"goes up to \d+ and the model has \d+ rows\. They are of two models"):
        spec.model(spec.tokenizer(()), 0)


def test_rows_beyond_the_tokenizer_are_padding() -> None:
    model, tokenizer = scratch()
    check_fits(tokenizer, model)
    model.resize_token_embeddings(len(tokenizer) + 64)
    check_fits(tokenizer, model)
