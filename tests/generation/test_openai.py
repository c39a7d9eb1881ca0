"""The client against a stub: what is sent, how fast, how much at a time, for how much money. Faults: test_faults.py."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers import Answer, asked_of, completion, free_port, stub
from tiny_run import no_trace

from plad.errors import PladError
from plad.generation import Cached, OpenAI, Sampling, Store, Usage
from plad.generation.pacing import Pace, backoff, retry_after
from plad.models import PromptFormat
from plad.records import Generation, Prompt

pytest.importorskip("openai")

KEY = "sk-not-for-anybody-else"
PROMPTS = [Prompt(f"p{n:02}", f"question {n}") for n in range(12)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def echo(body: dict[str, Any]) -> Answer:
    return Answer(completion(*[f"{asked_of(body)}!"] * body.get("n", 1)))


def teacher(url: str, limits: dict[str, Any] | None = None, **settings: Any) -> OpenAI:
    return OpenAI(model="big", base_url=url, limits={"shortest_wait": 0.01, **(limits or {})}, **settings)


def ask(spec: OpenAI, prompts: list[Prompt] = PROMPTS, **sampling: Any) -> list[Generation]:
    spec.check()
    found = spec.generator(PromptFormat(), Usage()).generate(prompts, Sampling(**sampling), seed=1)
    return sorted(found, key=lambda generation: (generation.id, generation.sample))


def test_a_request_holds_what_was_asked_for_and_no_more() -> None:
    with stub(echo).running() as server:
        [found] = ask(teacher(server.url), PROMPTS[:1], temperature=0.5, max_new_tokens=9)
        assert found == Generation("p00", "question 0!", tokens=5, prompt_tokens=10)
        [body] = server.seen
        seed = body.pop("seed")
        assert 0 <= seed < 2**31
        messages = [{"role": "user", "content": "question 0"}]
        assert body == {"model": "big", "messages": messages, "max_tokens": 9, "temperature": 0.5}
        extra = {"limit_as": "max_completion_tokens", "send_seed": False, "extra": {"reasoning_effort": "low"}}
        ask(teacher(server.url, **extra), PROMPTS[:1], top_p=0.9, top_k=5)
        assert server.seen[1] == {
            "model": "big",
            "messages": messages,
            "max_completion_tokens": 64,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 5,
            "reasoning_effort": "low",
        }


def test_prompts_are_sent_as_the_recipe_formats_them() -> None:
    chat = Prompt(
        "c", ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
    )
    plain = PromptFormat(template="<{prompt}>", system="be brief")
    system = {"role": "system", "content": "be brief"}
    assert json.loads(plain.sent("x", chat=True)) == [system, {"role": "user", "content": "<x>"}]
    assert json.loads(plain.sent(chat.prompt, chat=True)) == [system, *chat.prompt]
    assert PromptFormat(template="<{prompt}>").sent("x", chat=False) == "<x>"
    assert PromptFormat().sent(chat.prompt, chat=False) == "Human: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"


def test_completions_are_read_too() -> None:
    def rule(body: dict[str, Any]) -> Answer:
        choice = {"index": 0, "text": f" {body['prompt']}?", "finish_reason": "length"}
        return Answer(json.dumps({"choices": [choice]}).encode())

    with stub(rule).running() as server:
        [found] = ask(teacher(server.url, api="completions"), PROMPTS[:1])
        assert server.seen[0]["prompt"] == "question 0"
    # No usage was told: a token for every four of 10 and of 11 characters, and one.
    assert found == Generation("p00", "question 0?", finished=False, tokens=11 // 4 + 1, prompt_tokens=10 // 4 + 1)


@pytest.mark.parametrize(("gives", "requests"), [(3, 1), (5, 1), (2, 2), (1, 3)])
def test_the_number_of_choices_is_checked(gives: int, requests: int) -> None:
    with stub(lambda body: Answer(completion(*"abcde"[:gives], tokens=7))).running() as server:
        found = ask(teacher(server.url), PROMPTS[:1], samples=3)
        assert [body.get("n", 1) for body in server.seen] == [3, 3 - gives, 3 - 2 * gives][:requests]
        assert len({body["seed"] for body in server.seen}) == requests, "or the same answer would come again"
    assert [generation.sample for generation in found] == [0, 1, 2]
    assert "".join(generation.response for generation in found) == ("abcde"[:gives] * 3)[:3]
    if gives == 3:
        assert [(g.tokens, g.prompt_tokens) for g in found] == [(3, 10), (2, 0), (2, 0)]


def test_a_server_that_refuses_n_is_asked_one_at_a_time() -> None:
    with stub(lambda body: Answer(b"{}", 422) if body.get("n", 1) > 1 else echo(body)).running() as server:
        found = ask(teacher(server.url, {"concurrency": 1}), PROMPTS[:2], samples=2)
        assert [body.get("n", 1) for body in server.seen] == [2, 1, 1, 1, 1]
    assert [generation.failure for generation in found] == [None] * 4


def test_never_more_at_a_time_than_the_limit() -> None:
    slow = stub(lambda body: Answer(completion("x"), delay=0.03))
    with slow.running() as server:
        ask(teacher(server.url, {"concurrency": 5}), PROMPTS * 2)
        assert server.most_under_way == 5


def test_requests_and_tokens_a_minute() -> None:
    with stub(echo).running() as server:
        started = time.monotonic()
        ask(teacher(server.url, {"requests_per_minute": 1200}), PROMPTS)
        # 12 requests at 20 a second: the last starts 11/20 s after the first.
        assert time.monotonic() - started >= 11 / 20
    with stub(lambda body: Answer(completion("x", prompt_tokens=30, tokens=20))).running() as server:
        started = time.monotonic()
        ask(teacher(server.url, {"tokens_per_minute": 60_000, "concurrency": 1}), PROMPTS, max_new_tokens=500)
        # 50 tokens a request came back where about 510 were feared: 11 × 50 at 1,000 a second before the last.
        assert time.monotonic() - started >= 11 * 0.05


def test_what_was_feared_and_did_not_come_is_given_back() -> None:
    async def two_requests() -> None:
        pace = Pace(per_minute=600)
        await pace.take(1000)
        pace.correct(-999)
        async with asyncio.timeout(20):  # 100 s otherwise
            await pace.take()

    asyncio.run(two_requests())


def test_retry_after_holds_everybody_back() -> None:
    first: list[float] = []

    def rule(body: dict[str, Any]) -> Answer:
        first.append(time.monotonic())
        return Answer(b"{}", 429, {"retry-after": "0.5"}) if len(first) == 1 else echo(body)

    with stub(rule).running() as server:
        ask(teacher(server.url, {"concurrency": 2}), PROMPTS[:6])
    # The other worker's request may have been on its way already.
    late = [moment for moment in first if moment - first[0] < 0.45]
    assert len(late) <= 2
    assert len(first) == 7


def test_a_busy_server_is_waited_for_beyond_the_retries_and_within_patience() -> None:
    seen: Counter[str] = Counter()

    def rule(body: dict[str, Any]) -> Answer:
        seen[asked_of(body)] += 1
        return echo(body) if seen[asked_of(body)] > 5 else Answer(b"{}", 429, {"retry-after": "0"})

    with stub(rule).running() as server:
        assert not any(generation.failure for generation in ask(teacher(server.url, {"retries": 0})))
    with stub(lambda body: Answer(b"{}", 429)).running() as server:
        [found] = ask(teacher(server.url, {"patience": 0.05}), PROMPTS[:1])
    assert "429" in str(found.failure)


def test_waits_double_and_differ() -> None:
    draws = [[backoff(attempt, 0.5) for _ in range(200)] for attempt in (1, 2, 5, 20)]
    for some, longest in zip(draws, (0.5, 1.0, 8.0, 60.0), strict=True):
        assert longest / 2 <= min(some) < 0.6 * longest
        assert 0.9 * longest < max(some) <= longest


def test_retry_after_is_read_with_suspicion() -> None:
    assert retry_after("3") == 3
    assert retry_after("1e9") == 3600
    assert retry_after("-1") == 0
    assert [retry_after(text) for text in (None, "", "soon", "nan")] == [None] * 4
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 21 Oct 2115 07:28:00 GMT") == 3600


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_a_model_that_is_refused_ends_the_run(status: int) -> None:
    said = json.dumps({"error": {"message": f"no {KEY} here"}}).encode()
    with stub(lambda body: Answer(said, status)).running() as server:
        with pytest.raises(PladError, match=f"must let us use 'big', but answers {status}: .*OPENAI_API_KEY") as told:
            ask(teacher(server.url, {"concurrency": 3}))
        assert len(server.seen) <= 3
    assert KEY not in str(told.value)
    assert "[key]" in str(told.value)


def test_a_used_up_quota_ends_the_run() -> None:
    said = json.dumps({"error": {"message": "pay", "code": "insufficient_quota"}}).encode()
    with stub(lambda body: Answer(said, 429)).running() as server, pytest.raises(PladError, match=r"429: .*pay"):
        ask(teacher(server.url))


def test_a_server_that_is_not_there() -> None:
    spec = teacher(f"http://127.0.0.1:{free_port()}/v1", {"retries": 1, "max_failed": 3})
    with pytest.raises(PladError, match=r"must be a server that can be reached, but: .*Start it, or mend base_url"):
        spec.probe()
    with pytest.raises(PladError, match=r"at most 3 prompts may be set aside .* connection lost"):
        ask(spec)


def test_a_server_without_a_list_of_models_is_let_pass() -> None:
    with stub(echo).running() as server:
        teacher(server.url).probe()
        assert server.seen == []


def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    spec = teacher("http://127.0.0.1:9/v1")
    for use in (spec.probe, lambda: ask(spec)):
        with pytest.raises(PladError, match="the environment variable OPENAI_API_KEY is not set"):
            use()


def test_the_key_is_sent_and_kept_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Even by a server that sends it back as its answer, and with every library's log turned up."""
    caplog.set_level(logging.DEBUG)
    for name in ("openai", *(name for name in logging.root.manager.loggerDict if name.startswith("http"))):
        caplog.set_level(logging.DEBUG, logger=name)
    heard: list[str] = []

    async def handle(path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        heard.append(headers["authorization"])
        return Answer(completion(f"you are {headers['authorization']}"))

    server = stub(echo)
    server.handler = handle
    with server.running():
        spec, store = teacher(server.url), Store(tmp_path)
        [found] = Cached(spec.generator(PromptFormat(), Usage()), store).generate(PROMPTS[:1], Sampling(), 1)
        store.close()
    assert heard == [f"Bearer {KEY}"]
    assert "/chat/completions" in caplog.text
    assert KEY not in caplog.text
    assert found.response == "you are Bearer [key]"
    assert KEY not in repr(spec) + spec.model_dump_json()
    no_trace(tmp_path, KEY)


def spending(url: str, budget: float | None, tokens: int, **limits: Any) -> OpenAI:
    """10 tokens of prompt are told for 0.01; at most 64 + 45 or so are feared. An answer of 10 tokens costs 0.02."""
    return teacher(url, limits, price={"input": 1000, "output": 2000}, budget=budget)


def test_a_budget_stops_before_it_is_exceeded_and_can_be_raised(tmp_path: Path) -> None:
    def rule(body: dict[str, Any]) -> Answer:
        return Answer(completion(f"{asked_of(body)}!", prompt_tokens=10, tokens=10))

    store, asked = Store(tmp_path), []
    with stub(rule).running() as server:

        def run(budget: float | None) -> list[Generation]:
            spec = spending(server.url, budget, 10, concurrency=3)
            generator = spec.generator(PromptFormat(), store.spent("me"), lambda usage: store.lose("me", usage))
            return list(Cached(generator, store, "me").generate(PROMPTS, Sampling(max_new_tokens=20), 1))

        # A request costs 0.03 and could cost 0.04 + 0.1 to 0.2 by its bytes: 0.35 leaves room for a few.
        with pytest.raises(PladError, match=r"may cost 0\.35 in all \(budget\), and 0\.\d+ is spent.*Raise the budget"):
            run(0.35)
        asked.append(len(server.seen))
        assert 3 <= asked[0] < 12
        assert store.spent("me") == Usage(10 * asked[0], 10 * asked[0], asked[0])
        assert 0.03 * asked[0] <= 0.35
        with pytest.raises(PladError, match="budget"):
            run(0.35)
        assert len(server.seen) == asked[0], "nothing more is asked"
        assert len(run(1.0)) == 12
        assert len(server.seen) == 12, "and nothing is asked twice"
        assert store.spent("me") == Usage(120, 120, 12)


def test_what_may_have_been_charged_counts_against_the_budget(tmp_path: Path) -> None:
    lost: list[Usage] = []
    with stub(lambda body: Answer(b"not JSON")).running() as server:
        spec = spending(server.url, 0.5, 10, concurrency=1, retries=50)
        generator = spec.generator(PromptFormat(), Usage(), lost.append)
        with pytest.raises(PladError, match="budget"):
            list(generator.generate(PROMPTS, Sampling(max_new_tokens=20), 1))
        assert len(lost) == len(server.seen) >= 2
    assert sum(spec.price.of(usage) for usage in lost) <= 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "api.example.com"}, "must be an address"),
        ({"base_url": "https://me:secret@api.example.com/v1"}, "must hold no password"),
        ({"api_key_env": "sk-abc"}, "must be the name of an environment variable"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OpenAI(model="m", **settings)


def test_a_budget_without_a_price() -> None:
    with pytest.raises(PladError, match="a budget needs a price"):
        OpenAI(model="m", budget=1.0).check()


def test_leaving_early_stops_the_requests() -> None:
    with stub(lambda body: Answer(completion("x"), delay=0.02)).running() as server:
        stream = teacher(server.url, {"concurrency": 2}).generator(PromptFormat(), Usage())
        answers = stream.generate(PROMPTS * 20, Sampling(), 1)
        next(answers)
        answers.close()  # type: ignore[attr-defined]
        time.sleep(0.2)  # what was sent arrives
        seen = len(server.seen)
        time.sleep(0.2)
        assert len(server.seen) == seen < 20


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with stub(echo).running() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        [found] = ask(teacher("http://teacher.invalid/v1"), PROMPTS[:1])
        assert found.response == "question 0!"
