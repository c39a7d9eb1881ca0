from __future__ import annotations

from plad.records import Prompt
from plad.shipping.check import compare

PROMPTS = [Prompt(name, "?") for name in ("a", "b", "c", "d")]


def test_what_is_equal_is_counted_and_where_it_parts_is_shown() -> None:
    found = compare(PROMPTS, ["one", "two three", "four", "five"], ["one", "two four", "four", "five!"])
    assert (found.prompts, found.equal, found.share, found.alike) == (4, 2, 0.5, None)
    assert found.first == {"id": "b", "shared": "two ", "ours": "three", "theirs": "four"}
    assert found.lines() == [
        "2 of 4 greedy answers equal those of the run's model, letter for letter",
        "they part at prompt 'b', after 'two ':",
        "  run:      'three'",
        "  exported: 'four'",
    ]


def test_other_tokens_are_told_where_the_answers_are_equal() -> None:
    same = ["x"] * 4
    found = compare(PROMPTS, same, same, ([[1], [2], [3], [4]], [[1], [2, 2], [3], [4]]))
    assert (found.equal, found.alike, found.first) == (4, 3, None)
    assert "1 of 4 prompts become other tokens than in the run" in found.lines()


def test_a_shorter_answer_parts_where_it_ends() -> None:
    assert compare(PROMPTS[:1], ["red box"], ["red"]).first == {
        "id": "a",
        "shared": "red",
        "ours": " box",
        "theirs": "",
    }
