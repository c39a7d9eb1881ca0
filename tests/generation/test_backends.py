"""Ray and vLLM against the embedded backend, on a model of a few thousand parameters; each where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers import TEXTS, save_tiny_model

from plad.errors import PladError
from plad.generation import ENGINES, Sampling
from plad.generation.hf import HF
from plad.generation.ray import Ray
from plad.generation.vllm import VLLM, lora_rank, split_adapter
from plad.models import Lora, PromptFormat
from plad.records import Generation, Prompt

GREEDY = Sampling(temperature=0, max_new_tokens=8)
TURNS = [("user", "a dog"), ("assistant", "?"), ("user", "sees")]
CHAT = tuple({"role": role, "content": content} for role, content in TURNS)
PROMPTS = [*(Prompt(f"p{n}", f"{TEXTS[n % 2]} {n}") for n in range(7)), Prompt("chat", CHAT)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), width=64)  # vLLM wants heads of 32 or more


def answers(engine: HF | Ray | VLLM, folder: Path, sampling: Sampling = GREEDY) -> dict[tuple[str, int], Generation]:
    generator = engine.generator(folder, PromptFormat(), "float32", 3)
    found = list(generator.generate(PROMPTS, sampling, seed=1))
    assert len(found) == len(PROMPTS) * sampling.samples
    return {(generation.id, generation.sample): generation for generation in found}


def adapter(folder: Path, base: Path) -> Path:
    """An adapter of some weight on top of a model."""
    import torch

    from plad.models.load import load_folder

    model, tokenizer = load_folder(base)
    wrapped = Lora(r=3).wrap(model, f"../{base.name}")
    torch.manual_seed(len(folder.name))
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_adapter_is_told_from_its_base(folder: Path) -> None:
    one = adapter(folder.parent / "one", folder)
    two = adapter(folder.parent / "second", one)
    assert split_adapter(folder) == (folder, None)
    assert split_adapter(one) == (folder, one)
    assert split_adapter(two) == (one, two)


def test_the_name_of_a_model_is_the_hash_of_all_its_weights(folder: Path) -> None:
    from plad.models.load import weights_digest

    one = adapter(folder.parent / "under", folder)
    two = adapter(folder.parent / "over", one)
    before = [weights_digest(path) for path in (folder, one, two)]
    assert len(set(before)) == 3
    (two / "history.jsonl").write_text("{}\n")
    assert [weights_digest(path) for path in (folder, one, two)] == before
    settings = folder / "config.json"
    original = settings.read_text()
    settings.write_text(json.dumps({**json.loads(original), "hidden_act": "gelu"}))
    changed = [weights_digest(path) for path in (folder, one, two)]
    settings.write_text(original)
    assert all(old != new for old, new in zip(before, changed, strict=True)), "what is below counts too"


def test_room_for_an_adapter() -> None:
    assert [lora_rank(rank) for rank in (1, 2, 8, 9, 512, 600)] == [1, 8, 8, 16, 512, 600]


@pytest.mark.parametrize("name", ["ray", "vllm"])
def test_a_backend_that_is_not_installed_says_how(name: str, folder: Path) -> None:
    try:
        __import__(name)
    except ImportError:
        with pytest.raises(PladError, match=rf"pip install 'plad\[{name}\]'"):
            answers(ENGINES[name](), folder)
    else:
        pytest.skip(f"{name} is installed")


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0, max_new_tokens=6, samples=2)])
def test_ray_answers_as_the_backend_in_its_workers(folder: Path, sampling: Sampling) -> None:
    pytest.importorskip("ray")
    engine = Ray(workers=2, cpus=0.5)
    assert answers(engine, folder, sampling) == answers(HF(), folder, sampling)
    assert (
        engine.generator(folder, PromptFormat(), "float32", 3).identity
        == HF().generator(folder, PromptFormat(), "float32", 3).identity
    )


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_vllm_answers_as_transformers(folder: Path, depth: int) -> None:
    pytest.importorskip("vllm")
    model = folder
    for level in range(depth):
        model = adapter(folder.parent / f"level-{level}", model)
    assert answers(VLLM(eager=True, max_model_len=128), model) == answers(HF(), model)
