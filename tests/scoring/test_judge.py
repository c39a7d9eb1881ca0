"""The LLM judge: what a verdict is, that both orders are asked, and that no reply is paid for twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from servers import Answer, asked_of, completion, stub

from plad.errors import PladError
from plad.generation import Sampling
from plad.generation.account import Price
from plad.records import Generation, Prompt
from plad.scoring import Judge
from plad.scoring.store import ScoreStore
from plad.scoring.verdict import Verdict, doubt_shares, doubts, read_reply, settle

PROMPTS = [Prompt("1", "count to two", "one two"), Prompt("2", "say {first}", "{second}")]


class Ruled:
    """A generator that reads both answers out of the question and follows a rule."""

    def __init__(self, rule: Callable[[str, str], str], stop_after: int | None = None):
        self.rule, self.stop_after, self.asked = rule, stop_after, []

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, done: Collection[str] = ()
    ) -> Iterator[Generation]:
        for prompt in prompts:
            if len(self.asked) == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(prompt.text)
            first, second = re.findall(r"<answer [AB]>\n(.*?)\n</answer", prompt.text, re.DOTALL)
            yield Generation(prompt.id, self.rule(first, second))


def longer(first: str, second: str) -> str:
    return "Verdict: A" if len(first) > len(second) else "Verdict: B" if len(second) > len(first) else "Verdict: tie"


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(model={"path": str(tmp_path / "never-loaded")})


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        ("Both are fine, but A is not.\nVerdict: B", 0.0),
        ("**Verdict:** A", 1.0),
        ("verdict - tie.", 0.5),
        ("Verdict: A? No.\nVerdict: B", 0.0),
        ("a", 1.0),
        (" B.", 0.0),
        ("A is better", None),
        ("Verdict: banana", None),
        ("", None),
    ],
)
def test_a_reply_is_read_by_its_last_verdict(reply: str, share: float | None) -> None:
    assert read_reply(reply) == share


@pytest.mark.parametrize(
    ("forward", "backward", "outcome", "consistent", "readable"),
    [
        ("Verdict: A", "Verdict: B", 1.0, True, True),
        ("Verdict: B", "Verdict: A", 0.0, True, True),
        ("Verdict: tie", "Verdict: tie", 0.5, True, True),
        ("Verdict: A", "Verdict: A", 0.5, False, True),  # always the first
        ("Verdict: A", "Verdict: tie", 0.5, False, True),
        ("Verdict: A", "hm", 0.5, False, False),
        ("hm", "hm", 0.5, True, False),
    ],
)
def test_both_orders_must_agree(forward: str, backward: str, outcome: float, consistent: bool, readable: bool) -> None:
    assert settle("1", forward, backward) == Verdict("1", outcome, consistent, readable, (forward, backward))


def test_a_judge_is_asked_in_both_orders_and_keeps_its_replies(judge: Judge) -> None:
    generator = Ruled(longer)
    verdicts = judge.remembering(None, generator).compare(PROMPTS, ["one", "{prompt}"], ["one two", "{second} {first}"])
    assert [verdict.outcome for verdict in verdicts] == [0.0, 0.0]
    assert verdicts[0].replies == ("Verdict: B", "Verdict: A")
    shown = [re.findall(r"<answer [AB]>\n(.*)\n", question) for question in generator.asked]
    # What looks like a place of the rubric is text.
    forward, backward = [["one", "one two"], ["{prompt}", "{second} {first}"]], [["one two", "one"]]
    assert shown == [*forward, *backward, ["{second} {first}", "{prompt}"]]
    assert "<request>\nsay {first}\n</request>" in generator.asked[1]


def test_as_a_scorer_it_compares_with_the_reference(judge: Judge) -> None:
    generator = Ruled(longer)
    asked = judge.remembering(None, generator)
    scores = asked.score([PROMPTS[0]] * 5, ["one two three", "one", "one  two\n", " ", "two one"])
    # Longer, shorter, the same words, empty, as long.
    assert scores == [1.0, 0.0, 0.5, 0.0, 0.5]
    assert len(generator.asked) == 6  # the same and the empty are not asked
    with pytest.raises(PladError, match="1 of 1 prompts have none"):
        asked.score([Prompt("3", "x")], ["y"])


def test_doubts_count_what_was_asked(judge: Judge) -> None:
    first = judge.remembering(None, Ruled(lambda a, b: "Verdict: A"))
    verdicts = first.compare([PROMPTS[0]] * 3, ["a", "b", "c c"], ["z", "b", "z"])
    assert doubts(verdicts) == {"asked": 2, "inconsistent": 2, "unreadable": 0}
    shares = doubt_shares([doubts(verdicts), {"asked": 2, "inconsistent": 0, "unreadable": 1}])
    assert (shares["inconsistent"]["value"], shares["unreadable"]["value"]) == (0.5, 0.25)
    assert doubt_shares([doubts([])]) == {}


def test_no_reply_is_asked_for_twice_whenever_it_was_stopped(judge: Judge, tmp_path: Path) -> None:
    a, b, done = ["x", "yy", "zzz"], ["xxxx"] * 3, []
    stopped, rest = Ruled(longer, stop_after=3), Ruled(longer)
    with ScoreStore(tmp_path / "s") as store, pytest.raises(KeyboardInterrupt):
        judge.remembering(store, stopped).compare([PROMPTS[0]] * 3, a, b)
    with ScoreStore(tmp_path / "s") as store:
        resumed = judge.remembering(store, rest).compare([PROMPTS[0]] * 3, a, b, done.append)
        # From another process's memory alone, with the answers the other way round.
        turned = judge.remembering(store, Ruled(longer, stop_after=0)).compare([PROMPTS[0]] * 3, b, a)
    assert resumed == judge.remembering(None, Ruled(longer)).compare([PROMPTS[0]] * 3, a, b)
    assert len(stopped.asked) == len(rest.asked) == 3
    assert not set(stopped.asked) & set(rest.asked)
    assert [verdict.outcome for verdict in turned] == [1.0, 1.0, 1.0]
    assert sum(done) == 3


def test_another_rubric_is_another_judge(judge: Judge, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("{prompt}?\n<answer A>\n{first}\n</answer\n<answer B>\n{second}\n</answer")
    generator = Ruled(longer)
    with ScoreStore(tmp_path / "s") as store:
        judge.remembering(store, generator).compare(PROMPTS[:1], ["a"], ["bb"])
        replaced = Judge(model=judge.model, rubric=own)
        replaced.remembering(store, generator).compare(PROMPTS[:1], ["a"], ["bb"])
    assert len(generator.asked) == 4
    assert generator.asked[2].startswith("count to two?")
    assert replaced.description.endswith("rubric own.txt")


def test_a_rubric_that_cannot_be_filled_is_refused(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("{prompt} {first}")
    with pytest.raises(PladError, match=r"bad\.txt has no \{second\}"):
        Judge(model=judge.model, rubric=tmp_path / "bad.txt").score(PROMPTS, ["a", "b"])
    with pytest.raises(PladError, match="is not there"):
        Judge(model=judge.model, rubric=tmp_path / "none.txt").score(PROMPTS, ["a", "b"])


def test_a_judge_that_leaves_a_question_open_is_refused(judge: Judge) -> None:
    class Silent(Ruled):
        def generate(self, prompts: Sequence[Prompt], *rest: object, **more: object) -> Iterator[Generation]:
            yield from super().generate(prompts[1:], *rest, **more)  # type: ignore[arg-type]

    with pytest.raises(PladError, match="1 of 2 have no reply"):
        judge.remembering(None, Silent(longer)).compare(PROMPTS[:1], ["a"], ["bb"])


def test_a_real_model_answers_through_its_own_chat_template(chat_llama: str) -> None:
    judge = Judge(model={"path": chat_llama}, max_new_tokens=4, rubric=None)
    verdicts = judge.compare(PROMPTS, ["the cat", "a dog"], ["it ran", "two numbers"])
    assert judge.generator.formatter.spec.chat
    assert all(len(verdict.replies) == 2 for verdict in verdicts)
    # Random weights give no verdict: ties, and said to be unreadable.
    assert [verdict.outcome for verdict in verdicts] == [0.5, 0.5]
    assert doubts(verdicts) == {"asked": 2, "inconsistent": 0, "unreadable": 2}
    assert judge.compare(PROMPTS, ["the cat", "a dog"], ["it ran", "two numbers"]) == verdicts


def test_random_weights_are_no_judge() -> None:
    with pytest.raises(ValueError, match="scratch"):
        Judge(model={"type": "scratch"})


def test_a_judge_behind_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real HTTP, with the key in a header alone; a reply that failed is asked for again, and nothing else."""
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-seen")
    broken = [True]

    def answer(body: dict[str, Any]) -> Answer:
        first, second = re.findall(r"<answer [AB]>\n(.*?)\n</answer", asked_of(body), re.DOTALL)
        return Answer(status=400) if broken[0] and first == "one two" else Answer(completion(longer(first, second)))

    with stub(answer).running() as server:
        model = {
            "type": "openai",
            "model": "big",
            "base_url": server.url,
            "limits": {"retries": 0},
        }
        judge = Judge(model=model, system="Be fair.")
        judge.probe()
        assert server.seen == []
        with ScoreStore(tmp_path / "scores.sqlite") as store:
            with pytest.raises(PladError, match="1 of 4 have no reply"):
                judge.remembering(store).score(PROMPTS, ["one two three", "x"])
            broken[0], before = False, len(server.seen)
            dearer = judge.model_copy(
                update={"model": judge.model.model_copy(update={"price": Price(input=1, output=1)})}
            )
            assert dearer.remembering(store).score(PROMPTS, ["one two three", "x"]) == [1.0, 0.0]
        assert len(server.seen) == before + 1
        assert all(body["messages"][0] == {"role": "system", "content": "Be fair."} for body in server.seen)
        assert all("sk-not" not in file.read_text("latin-1") for file in tmp_path.rglob("*") if file.is_file())


def test_a_judge_behind_an_endpoint_without_a_key_is_refused_before_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(PladError, match="OPENAI_API_KEY"):
        Judge(model={"type": "openai", "model": "big"}).probe()
