from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plad.errors import PladError
from plad.generation import Recorded, Sampling
from plad.models import PromptFormat
from plad.records import Generation, Prompt


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def answers(spec: Recorded, prompts: list[Prompt], **sampling: Any) -> list[Generation]:
    spec.check()
    spec.probe()
    return list(spec.generator(PromptFormat()).generate(prompts, Sampling(**sampling), seed=0))


def test_a_teachers_column_of_a_data_set(tmp_path: Path) -> None:
    rows = [
        {"prompt": "say  hi\n", "response": " hi "},
        {"prompt": [{"role": "user", "content": "hello"}], "response": "you"},
        {"prompt": "say hi", "response": "hi again"},
    ]
    spec = Recorded(path=write(tmp_path / "rows.jsonl", rows))
    chat = Prompt("c", ({"role": "user", "content": "hello"},))
    found = answers(spec, [Prompt("p", "say hi"), chat, Prompt("q", "unknown")], samples=2)
    assert found == [
        Generation("p", "hi"),
        Generation("p", "hi again", sample=1),
        Generation("c", "you"),
        Generation("q", "", finished=False, failure="no recorded answer"),
    ]


def test_the_log_of_an_api(tmp_path: Path) -> None:
    def line(name: str, text: str | None, reason: str) -> dict[str, Any]:
        choice = {"index": 0, "message": {"content": text}, "finish_reason": reason}
        return {"custom_id": name, "response": {"status_code": 200, "body": {"choices": [choice]}}}

    rows = [line("p", "whole", "stop"), line("q", "cut of", "length"), line("r", None, "stop")]
    columns = {
        "id": "custom_id",
        "response": "response.body.choices.0.message.content",
        "finish_reason": "response.body.choices.0.finish_reason",
    }
    spec = Recorded(path=write(tmp_path / "log.jsonl", rows), columns=columns)
    found = answers(spec, [Prompt(name, "not looked at") for name in "pqr"])
    assert [(g.response, g.finished) for g in found] == [("whole", True), ("cut of", False), ("", True)]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([{"prompt": "x", "respone": "y"}], {}, "line 1: no 'response' .*there are prompt, respone.* Did you mean 're"),
        ([{"prompt": "x", "response": 3}], {}, "line 1: 'response' must hold text, but holds 3"),
        ([{"prompt": 5, "response": "y"}], {}, "line 1: 'prompt' must hold text or a list of messages"),
        ([{"prompt": "x", "response": "y"}], {"response": "response.text"}, r"no 'text' \(of 'response\.text'\)"),
        ([], {}, "must hold recorded answers, but has no row"),
        ([{"prompt": "x", "response": "y"}], {}, "found by the text of the prompt, but .* has none for any of 1 "),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, rows: list[Any], columns: dict[str, str], message: str) -> None:
    spec = Recorded(path=write(tmp_path / "rows.jsonl", rows), columns=columns)
    with pytest.raises(PladError, match=message):
        answers(spec, [Prompt("p", "another")])


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(PladError, match=r"no file '\./nowhere\.jsonl'"):
        Recorded(path="./nowhere.jsonl").check()
