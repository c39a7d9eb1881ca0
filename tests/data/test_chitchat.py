import json

import pytest
from pydantic import ValidationError

from plad.data import chitchat
from plad.data.chitchat import Chitchat
from plad.errors import PladError


def group(sender, *texts):
    return [{"sender": sender, "text": text, "timestamp": ""} for text in texts]


def write(tmp_path, conversations):
    file = tmp_path / "dataset.json"
    file.write_text(json.dumps(conversations), encoding="utf-8")
    return file


def alternating(turns):
    return {"messages": [group("ab"[i % 2], f"turn number {i} here") for i in range(turns)]}


def test_messages_of_one_speaker_are_joined_and_roles_alternate(tmp_path):
    talk = [group("a", "Hello", " how are\nyou? "), group("b", "Fine."), group("a", "And", ""), group("a", "today?")]
    file = write(tmp_path, {"x": {"messages": [*talk, group("b", "It is going very well.")]}})
    (prompt,) = Chitchat(file=file).prompts()
    assert prompt.prompt == (
        {"role": "user", "content": "Hello how are you?"},
        {"role": "assistant", "content": "Fine."},
        {"role": "user", "content": "And today?"},
    )
    assert prompt.reference == "It is going very well."


def test_windows_share_no_turn(tmp_path):
    file = write(tmp_path, {"x": alternating(11)})
    prompts = list(Chitchat(file=file, context_turns=3).prompts())
    # Windows of 3 + 1 turns: 0-3, 4-7, and of the rest, 8-10, the two that end with a reply: 8-9.
    assert [prompt.reference for prompt in prompts] == [f"turn number {i} here" for i in (3, 7, 9)]
    assert [prompt.prompt[0]["content"] for prompt in prompts] == [f"turn number {i} here" for i in (0, 4, 8)]
    assert all(prompt.prompt[0]["role"] == prompt.prompt[-1]["role"] == "user" for prompt in prompts)


def test_at_most_so_many_examples_a_conversation_and_conversations_by_id(tmp_path):
    file = write(
        tmp_path, {"z": alternating(9), "a": {"messages": [group("p", "hi"), group("q", "one two three four")]}}
    )
    prompts = list(Chitchat(file=file, context_turns=1, turns_per_conversation=2).prompts())
    assert [prompt.reference for prompt in prompts] == [
        "one two three four",
        "turn number 1 here",
        "turn number 3 here",
    ]


def test_short_replies_and_monologues_give_nothing(tmp_path):
    file = write(tmp_path, {"m": {"messages": [group("a", "a b c d"), group("a", "e f g h")]}, "s": alternating(2)})
    assert len(list(Chitchat(file=file, min_words=4).prompts())) == 1
    with pytest.raises(PladError, match="a reply of 5 words"):
        list(Chitchat(file=file, min_words=5).prompts())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is a list"),
        ("{", "can't be read"),
        ('{"x": {}}', "must hold `messages`"),
        ('{"x": {"messages": [[{"text": 3, "sender": "a"}]]}}', "must hold `messages`"),
        ('{"x": {"messages": 3}}', "must hold `messages`"),
        ("{}", "holds no exchange"),
    ],
)
def test_bad_files(tmp_path, content, message):
    file = tmp_path / "dataset.json"
    file.write_text(content)
    with pytest.raises(PladError, match=message):
        list(Chitchat(file=file).prompts())


def test_without_file_and_package(monkeypatch):
    monkeypatch.setattr(chitchat, "find_spec", lambda name: None)
    with pytest.raises(PladError, match="pip install chitchat-dataset"):
        list(Chitchat().prompts())


def test_an_even_context_is_refused():
    with pytest.raises(ValidationError, match="must be odd"):
        Chitchat(context_turns=4)
