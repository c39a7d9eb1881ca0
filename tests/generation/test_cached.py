"""What stands between a generator and the store: asked once, in order of need, failures tried anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plad.generation import Cached, Sampling, Store
from plad.generation.base import Done
from plad.generation.cached import unanswered
from plad.records import Generation, Prompt

PROMPTS = [Prompt("a", "one"), Prompt("b", "two"), Prompt("c", "three")]


class Echo:
    """Answers with what it was shown and how; remembers what it was asked."""

    def __init__(self, model: str = "echo", broken: Sequence[str] = ()):
        self.identity: Any = {"model": model}
        self.broken = broken
        self.asked: list[tuple[str, int]] = []

    def rendered(self, prompt: Prompt) -> str:
        return prompt.text.upper()

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Done = ()
    ) -> Iterator[Generation]:
        for prompt in prompts:
            for sample in range(sampling.samples):
                if (prompt.id, sample) in done:
                    continue
                self.asked.append((prompt.id, sample))
                failure = "broken" if prompt.id in self.broken else None
                text = f"{self.rendered(prompt)} {sampling.temperature} {seed}"
                yield Generation(prompt.id, text, tokens=2, sample=sample, failure=failure)


def ask(generator: Echo, store: Store, prompts: Sequence[Prompt] = PROMPTS, seed: int = 1, **sampling: Any) -> Any:
    found = list(Cached(generator, store).generate(prompts, Sampling(**sampling), seed))
    answers = {(generation.id, generation.sample): generation for generation in found}
    assert len(answers) == len(found)
    return answers


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    first = ask(Echo(), store := Store(tmp_path), PROMPTS[:2])
    again = Echo()
    found = ask(again, store)
    assert again.asked == [("c", 0)]
    assert {place: found[place] for place in first} == first
    assert found["c", 0].response == "THREE 0.7 1"
    cached = Cached(Echo(), store)
    assert len(list(cached.generate(PROMPTS, Sampling(), 1))) == cached.reused == 3


def test_whatever_could_change_an_answer_asks_again(tmp_path: Path) -> None:
    ask(Echo(), store := Store(tmp_path), PROMPTS[:1])
    for generator, changes in [
        (Echo(), {"seed": 2}),
        (Echo(), {"temperature": 0.5}),
        (Echo(), {"top_p": 0.5}),
        (Echo(), {"max_new_tokens": 7}),
        (Echo("other"), {}),
    ]:
        ask(generator, store, PROMPTS[:1], **changes)
        assert generator.asked == [("a", 0)], changes


def test_a_greedy_answer_has_no_seed(tmp_path: Path) -> None:
    ask(Echo(), store := Store(tmp_path), temperature=0, seed=1)
    ask(again := Echo(), store, temperature=0, seed=2)
    assert again.asked == []


def test_further_samples_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    ask(Echo(), store := Store(tmp_path), PROMPTS[:1])
    ask(more := Echo(), store, PROMPTS[:2], samples=3)
    assert more.asked == [("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]


def test_prompts_that_look_alike_to_the_model_are_asked_once(tmp_path: Path) -> None:
    twins = [Prompt("x", "same"), Prompt("y", "SAME"), Prompt("z", "other")]
    echo = Echo()
    found = ask(echo, Store(tmp_path), twins)
    assert echo.asked == [("x", 0), ("z", 0)]
    assert found["x", 0].response == found["y", 0].response == "SAME 0.7 1"
    assert found["y", 0].id == "y"


def test_an_answer_is_kept_before_it_is_handed_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    stream = Cached(Echo(), store).generate(PROMPTS, Sampling(), 1)
    next(stream)
    assert sum(entry.generations for entry in Store(tmp_path).entries()) == 1


def test_failures_are_handed_on_and_not_kept(tmp_path: Path) -> None:
    found = ask(Echo(broken="b"), store := Store(tmp_path))
    assert found["b", 0].failure == "broken"
    ask(again := Echo(), store)
    assert again.asked == [("b", 0)]


def test_a_generator_without_an_identity_is_not_kept(tmp_path: Path) -> None:
    echo = Echo()
    echo.identity = None
    assert len(ask(echo, store := Store(tmp_path))) == 3
    assert store.entries() == []


def test_what_would_be_asked_for_is_told_without_asking(tmp_path: Path) -> None:
    store, generator = Store(tmp_path), Echo(broken=["c"])
    ask(generator, store, samples=2)
    twins = [*PROMPTS, Prompt("d", "One"), Prompt("e", "new"), Prompt("f", "NEW")]
    wanted = unanswered(other := Echo(), twins, Sampling(samples=3), 1, store)
    # Two of three samples are kept; what failed isn't; two prompts that look alike are asked once.
    assert wanted == [(PROMPTS[0], [2]), (PROMPTS[1], [2]), (PROMPTS[2], [0, 1, 2]), (twins[4], [0, 1, 2])]
    assert other.asked == []
    asking = Echo()
    list(Cached(asking, store).generate(twins, Sampling(samples=3), 1))
    assert asking.asked == [(prompt.id, sample) for prompt, missing in wanted for sample in missing]
    assert unanswered(Echo(), PROMPTS[:1], Sampling(), 2, store) == [(PROMPTS[0], [0])], "another seed"
    assert unanswered(Echo(), PROMPTS[:1], Sampling(), 1, None) == [(PROMPTS[0], [0])]
