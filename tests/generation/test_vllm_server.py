"""The `openai` teacher against vLLM's own server with a real model: SmolLM2-135M-Instruct, chat and completions.

It runs where vLLM is installed and PLAD_TEST_MODEL names a folder with the model (`plad fetch` makes one).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_port, ready

from plad.generation import OpenAI, Sampling, Usage
from plad.generation.hf import HF
from plad.models import PromptFormat
from plad.records import Generation, Prompt

pytest.importorskip("vllm")
pytest.importorskip("openai")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = os.environ.get("PLAD_TEST_MODEL", "")
PROMPTS = [Prompt("capital", "The capital of France is"), Prompt("colour", "The colour of a clear sky is")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not MODEL:
        pytest.skip("PLAD_TEST_MODEL names no model")
    port, log = free_port(), tmp_path_factory.mktemp("vllm") / "server.log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--port", str(port)]
    command += ["--served-model-name", "small", "--enforce-eager", "--max-model-len", "256", "--dtype", "float32"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        ready(process, port, log, seconds=600)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, api: str, sampling: Sampling) -> dict[tuple[str, int], Generation]:
    spec = OpenAI.model_validate({"model": "small", "base_url": url, "api": api, "api_key_env": None})
    spec.probe()
    found = list(spec.generator(PromptFormat(), Usage()).generate(PROMPTS, sampling, seed=1))
    assert not [generation.failure for generation in found if generation.failure]
    return {(generation.id, generation.sample): generation for generation in found}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_two_samples_of_each_prompt(url: str, api: str) -> None:
    found = ask(url, api, Sampling(temperature=1.0, top_k=50, max_new_tokens=16, samples=2))
    assert found.keys() == {(prompt.id, sample) for prompt in PROMPTS for sample in (0, 1)}
    for prompt in PROMPTS:
        first, second = (found[prompt.id, sample] for sample in (0, 1))
        assert first.response != second.response
        assert second.prompt_tokens == 0, "the prompt is paid for once"
        assert 0 < (first.prompt_tokens or 0) < 60
        assert first.tokens + second.tokens <= 32


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_the_answer_is_what_transformers_makes_of_the_same_weights(url: str, api: str) -> None:
    greedy = Sampling(temperature=0, max_new_tokens=16)
    found = ask(url, api, greedy)
    here = HF().generator(Path(MODEL), PromptFormat(chat=api == "chat"), "float32", 2).generate(PROMPTS, greedy, seed=1)
    for answer in here:
        got = found[answer.id, 0]
        assert (got.response, got.finished) == (answer.response, answer.finished)


def test_a_model_that_the_server_does_not_have(url: str) -> None:
    from plad.errors import PladError

    spec = OpenAI(model="other", base_url=url, api_key_env=None)
    with pytest.raises(PladError, match="must let us use 'other', but answers 404"):
        list(spec.generator(PromptFormat(), Usage()).generate(PROMPTS, Sampling(), seed=1))
