"""Ray and vLLM against the embedded backend, on a model of a few thousand parameters; each where it is installed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from servers import TEXTS, save_tiny_model

from plad.errors import PladError
from plad.generation import ENGINES, Cached, Sampling, Store
from plad.generation.base import Done
from plad.generation.hf import HF
from plad.generation.ray import Ray, Worker
from plad.generation.ray_vllm import runs_by_processor
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


def answers(
    engine: HF | Ray | VLLM, folder: Path, sampling: Sampling = GREEDY, store: Store | None = None
) -> dict[tuple[str, int], Generation]:
    generator: Any = engine.generator(folder, PromptFormat(), "float32", 3)
    generator = generator if store is None else Cached(generator, store)
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


DRAWN = Sampling(temperature=1.0, max_new_tokens=6, samples=2)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_ray_answers_as_the_backend_in_its_workers(folder: Path, sampling: Sampling) -> None:
    pytest.importorskip("ray")
    engine = Ray(workers=2, cpus=0.5)
    assert answers(engine, folder, sampling) == answers(HF(), folder, sampling)
    assert (
        engine.generator(folder, PromptFormat(), "float32", 3).identity
        == HF().generator(folder, PromptFormat(), "float32", 3).identity
    )


@pytest.mark.slow
def test_a_worker_of_ray_that_is_killed_takes_nothing_with_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    died = tmp_path / "died"

    class Mortal(Worker):
        """The first that is asked dies of it."""

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(row)

    monkeypatch.setattr("plad.generation.ray.Worker", Mortal)
    with closing(Store(tmp_path)) as store, sqlite3.connect(store.path) as file:
        file.execute("CREATE TABLE written (key TEXT)")
        file.execute("CREATE TRIGGER log AFTER INSERT ON generations BEGIN INSERT INTO written VALUES (new.key); END")
        file.commit()
        assert answers(Ray(workers=2, cpus=0.5), folder, DRAWN, store) == answers(HF(), folder, DRAWN)
        assert died.exists()
        written = [key for (key,) in file.execute("SELECT key FROM written")]
        assert len(written) == len(set(written)) == len(PROMPTS) * DRAWN.samples, "each is kept once"
        assert answers(HF(), folder, DRAWN, store) == answers(HF(), folder, DRAWN)
        assert file.execute("SELECT count(*) FROM written").fetchone() == (len(written),), "and serves other backends"


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_vllm_answers_as_transformers(folder: Path, depth: int) -> None:
    """An adapter on the base, and one on an adapter: loaded beside it, not merged into it."""
    pytest.importorskip("vllm")
    model = folder
    for level in range(depth):
        model = adapter(folder.parent / f"level-{level}", model)
    assert answers(VLLM(eager=True, max_model_len=128), model) == answers(HF(), model)
    if depth:
        assert answers(HF(), model) != answers(HF(), folder), "the adapter has a say"


@pytest.mark.slow
def test_samples_of_vllm_depend_on_seed_prompt_and_number_alone(folder: Path) -> None:
    pytest.importorskip("vllm")
    generator = VLLM(eager=True, max_model_len=128).generator(folder, PromptFormat(), "float32", 3)

    def draw(seed: int, done: Done = (), prompts: Sequence[Prompt] = PROMPTS) -> dict[tuple[str, int], Generation]:
        return {(g.id, g.sample): g for g in generator.generate(prompts, DRAWN, seed, done)}

    found = draw(1)
    assert found.keys() == {(prompt.id, sample) for prompt in PROMPTS for sample in (0, 1)}
    assert all(1 <= generation.tokens <= DRAWN.max_new_tokens for generation in found.values())
    firsts, seconds = ([found[p.id, n].response for p in PROMPTS] for n in (0, 1))
    assert sum(one != two for one, two in zip(firsts, seconds, strict=True)) > len(PROMPTS) // 2
    some = {place for n, place in enumerate(sorted(found)) if n % 3}
    assert draw(1, some, PROMPTS[::-1]) == {place: found[place] for place in found.keys() - some}
    assert draw(2) != found


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1])
def test_rays_own_processor_of_vllm_answers_as_transformers(folder: Path, depth: int) -> None:
    pytest.importorskip("vllm")
    pytest.importorskip("ray.data.llm")
    model = adapter(folder.parent / "by-processor", folder) if depth else folder
    engine = Ray(engine=VLLM(eager=True, max_model_len=128))
    assert runs_by_processor(engine.engine, model)
    assert answers(engine, model) == answers(HF(), model)
