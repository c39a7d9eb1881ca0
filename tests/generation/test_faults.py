"""Faults between the client and a real server: nothing is lost, nothing paid twice, nothing half written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import EARLY, LATE, FaultyProxy, asked_of, model_server, save_tiny_model
from tiny_run import no_trace

from plad.errors import PladError
from plad.generation import Cached, OpenAI, Sampling, Store, Usage
from plad.models import PromptFormat
from plad.records import Generation, Prompt

pytest.importorskip("openai")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

KEY = "sk-never-to-be-seen-0123456789"
SAMPLING = Sampling(temperature=0, max_new_tokens=6)
PROMPTS = [Prompt(f"p{n}", f"the box in room {n}") for n in range(24)]
AGAIN = [*EARLY.keys() - {"400"}, "reset in mid-body", "stream that ends early", "stream that stops"]
AGAIN += ["null finish_reason", "no choices"]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A real server: its address and the name of its model."""
    folder = save_tiny_model(tmp_path_factory.mktemp("served"))
    with model_server(folder, tmp_path_factory.mktemp("log") / "serve.log") as url:
        yield url, str(folder)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAD_TEST_KEY", KEY)


def teacher(url: str, model: str, **limits: Any) -> OpenAI:
    limits = {"concurrency": 4, "timeout": 1.5, "shortest_wait": 0.02, **limits}
    return OpenAI(model=model, base_url=url, api_key_env="PLAD_TEST_KEY", limits=limits)


def ask(spec: OpenAI, store: Store, prompts: list[Prompt] = PROMPTS) -> dict[str, Generation]:
    cached = Cached(spec.generator(PromptFormat(), Usage()), store, "test")
    return {generation.id: generation for generation in cached.generate(prompts, SAMPLING, seed=1)}


@pytest.fixture(scope="module")
def undisturbed(upstream: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Generation]:
    """What the server answers when nothing goes wrong."""
    spec = OpenAI(model=upstream[1], base_url=upstream[0], api_key_env=None)
    found = ask(spec, Store(tmp_path_factory.mktemp("plain")))
    assert len({generation.response for generation in found.values()}) > 4
    return found


def first_time(kind: str) -> Callable[[dict[str, Any]], str | None]:
    """One fault for the first request of every other prompt."""
    seen: Counter[str] = Counter()

    def fault(body: dict[str, Any]) -> str | None:
        seen[asked_of(body)] += 1
        odd = int(asked_of(body).rsplit(" ", 1)[1]) % 2
        return kind if odd and seen[asked_of(body)] == 1 else None

    return fault


@pytest.mark.parametrize("kind", sorted(AGAIN))
def test_what_may_go_better_is_asked_again(
    kind: str, upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path
) -> None:
    with FaultyProxy(upstream[0], first_time(kind)).running() as proxy:
        assert isinstance(proxy, FaultyProxy)
        spec, store = teacher(proxy.url, upstream[1]), Store(tmp_path)
        assert ask(spec, store) == undisturbed
        assert Counter(proxy.delivered) == {prompt.text: 1 for prompt in PROMPTS}, "each is paid for once"
        assert len(proxy.seen) == 24 + 12
        assert ask(spec, store) == undisturbed
        assert len(proxy.seen) == 24 + 12, "and never again"
    assert store.damaged() == []
    store.close()
    no_trace(tmp_path, KEY)


@pytest.mark.parametrize("kind", ["empty content", "null content", "refusal", "length", "too many choices"])
def test_an_answer_of_another_kind_is_an_answer(
    kind: str, upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path
) -> None:
    assert kind in LATE
    with FaultyProxy(upstream[0], first_time(kind)).running() as proxy:
        found = ask(teacher(proxy.url, upstream[1]), Store(tmp_path))
        assert len(proxy.seen) == 24
    for number, prompt in enumerate(PROMPTS):
        got, plain = found[prompt.id], undisturbed[prompt.id]
        if number % 2 == 0 or kind == "too many choices":
            assert got == plain
        elif kind == "length":
            assert (got.response, got.finished) == (plain.response, False)
        else:
            assert got.response == ""
            assert got.refusal == ("I can't help with that." if kind == "refusal" else None)


def test_all_faults_at_once(upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path) -> None:
    draw = random.Random(7)
    with FaultyProxy(upstream[0], lambda _: draw.choice([*AGAIN, *[None] * len(AGAIN)])).running() as proxy:
        found = ask(teacher(proxy.url, upstream[1], concurrency=8, retries=30, timeout=0.7), Store(tmp_path))
    assert found == undisturbed


def test_a_prompt_that_keeps_failing_is_set_aside_and_tried_anew_the_next_time(
    upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path
) -> None:
    broken = {PROMPTS[3].text: "500", PROMPTS[8].text: "400"}
    with FaultyProxy(upstream[0], lambda body: broken.get(asked_of(body))).running() as proxy:
        spec, store = teacher(proxy.url, upstream[1], retries=2), Store(tmp_path)
        found = ask(spec, store)
        assert {name for name, generation in found.items() if generation.failure} == {"p3", "p8"}
        assert {name: g for name, g in found.items() if not g.failure}.items() <= undisturbed.items()
        assert "500" in str(found["p3"].failure)
        assert "trouble with Bearer [key]" in str(found["p8"].failure)
        counts = Counter(map(asked_of, proxy.seen))
        assert (counts[PROMPTS[3].text], counts[PROMPTS[8].text]) == (3, 1)
        broken.clear()
        assert ask(spec, store) == undisturbed
        assert len(proxy.seen) == 22 + 3 + 1 + 2
    no_trace(tmp_path, KEY)


def test_too_many_set_aside_stop_the_run_and_lose_nothing(
    upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path
) -> None:
    faults = ["400"]
    with FaultyProxy(upstream[0], lambda body: faults[0] if asked_of(body)[-1] in "13579" else None).running() as proxy:
        assert isinstance(proxy, FaultyProxy)
        spec = teacher(proxy.url, upstream[1], max_failed=2)
        with pytest.raises(
            PladError, match=r"at most 2 prompts may be set aside \(limits\.max_failed\), but 3"
        ) as told:
            ask(spec, store := Store(tmp_path))
        assert KEY not in str(told.value)
        [entry] = store.entries()
        assert entry.generations == len(proxy.delivered) > 0, "what was under way came in"
        faults[0] = None  # type: ignore[call-overload]
        assert ask(spec, store) == undisturbed
        assert Counter(proxy.delivered) == {prompt.text: 1 for prompt in PROMPTS}


def test_a_clock_that_jumps_changes_nothing(
    upstream: tuple[str, str], undisturbed: dict[str, Generation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, real = random.Random(1), time.time
    monkeypatch.setattr(time, "time", lambda: max(0.0, real() + draw.choice([-1e9, -4000, 0, 4000, 1e9])))
    with FaultyProxy(upstream[0], first_time("429 with Retry-After")).running() as proxy:
        spec = teacher(proxy.url, upstream[1], requests_per_minute=6000)
        started = time.monotonic()
        assert ask(spec, Store(tmp_path)) == undisturbed
    assert time.monotonic() - started < 20


KILLED = """
import os, sys
from plad.generation import Cached, OpenAI, Sampling, Store, Usage
from plad.models import PromptFormat
from plad.records import Prompt
import openai

url, model, folder, count = sys.argv[1:4] + [int(sys.argv[4])]
print("ready", flush=True)
for _ in sys.stdin:
    if (child := os.fork()) == 0:
        spec = OpenAI(model=model, base_url=url, api_key_env="PLAD_TEST_KEY", limits={"concurrency": 4})
        store = __import__("pathlib").Path(folder)
        cached = Cached(spec.generator(PromptFormat(), Usage()), Store(store), "test")
        prompts = [Prompt(str(n), f"the box in room {n}") for n in range(count)]
        list(cached.generate(prompts, Sampling(temperature=0, max_new_tokens=6), seed=1))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_killed_at_twenty_random_moments(upstream: tuple[str, str], tmp_path: Path) -> None:
    count, kills, draw = 160, 0, random.Random(3)
    kept_before_a_kill: set[int] = set()
    with FaultyProxy(upstream[0], lambda _: None).running() as proxy:
        assert isinstance(proxy, FaultyProxy)
        command = [sys.executable, "-c", KILLED, proxy.url, upstream[1], str(tmp_path), str(count)]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        zygote = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        assert zygote.stdout.readline() == "ready\n"
        status = -1
        while status != 0:
            store = Store(tmp_path)
            assert store.damaged() == []
            kept = sum(entry.generations for entry in store.entries())
            store.close()
            start = len(proxy.seen)
            zygote.stdin.write("go\n")
            zygote.stdin.flush()
            child = int(zygote.stdout.readline())
            if kills < 20:
                when = start + draw.randrange(10)
                while len(proxy.seen) < when:
                    time.sleep(0.001)
                time.sleep(draw.uniform(0, 0.03))
                os.kill(child, signal.SIGKILL)
                kills += 1
            status = int(zygote.stdout.readline())
            asked = {asked_of(body) for body in proxy.seen[start:]}
            assert len(asked) <= count - kept, "what is kept is not asked for"
            kept_before_a_kill.add(kept)
        zygote.stdin.close()
        zygote.wait()
        asked_in_all = Counter(map(asked_of, proxy.seen))
        # Only what was under way when a process died can have been asked for twice: four requests a kill.
        assert sum(asked_in_all.values()) <= count + 4 * kills
        assert len(asked_in_all) == count
    assert kills == 20
    assert len(kept_before_a_kill) > 8, "it was killed at different stages of the work"
    store = Store(tmp_path)
    assert store.damaged() == []
    assert sum(entry.generations for entry in store.entries()) == count
    no_trace(tmp_path, KEY)
