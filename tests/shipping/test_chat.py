from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_run import offline

from plad.cli import main
from plad.generation import OpenAI
from plad.records import Prompt
from plad.shipping.chat import Talk
from plad.shipping.source import find_model

PROMPT = "red box in room 3"
NAMES = ("teacher", "student")


def chat(run: Path, *options: str, text: str = "") -> Any:
    return CliRunner().invoke(main, ["chat", str(run), *options], input=text)


def said(run: Path, name: str, text: str) -> str:
    """What a model of the run says by the way that exports are compared with."""
    return find_model(run, name).greedy([Prompt("x", text)])[0]


def test_in_a_pipe_every_line_is_a_prompt(sharp_run: Path) -> None:
    found = chat(sharp_run, "--json", text=f"{PROMPT}\n\nold cat in room 8\n")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line["prompt"] for line in lines] == [PROMPT, "old cat in room 8"]
    for line in lines:
        answers = {answer["model"]: answer["text"] for answer in line["answers"]}
        assert list(answers) == ["teacher", "student", "plad"]
        assert answers == {name: said(sharp_run, name, line["prompt"]) for name in answers}


def test_a_prompt_of_the_command_line_is_answered_in_plain_lines(sharp_run: Path) -> None:
    lines = chat(sharp_run, "--prompt", PROMPT, "--model", "student", "--model", "plad").stdout.splitlines()
    assert lines[0] == f"> {PROMPT}"
    assert lines[1].startswith("student, before")
    assert any(line.startswith("plad, after") for line in lines)


def test_a_teacher_is_asked_as_the_run_asked_it(shown_run: Path, sharp_run: Path) -> None:
    """Behind its example, spelled out here for transformers alone; the student is asked as ever."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shown_run / "models/teacher"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    given = tokenizer(f"Name it: a green lamp green lamp\n\nName it: {PROMPT} ", add_special_tokens=False)["input_ids"]
    new = model.generate(torch.tensor([given]), do_sample=False, max_new_tokens=16, eos_token_id=tokenizer.eos_token_id)
    expected = tokenizer.decode(new[0, len(given) :], skip_special_tokens=True).strip()
    answers = {answer.model: answer.text for answer in Talk([find_model(shown_run, n) for n in NAMES]).ask(PROMPT)}
    assert answers == {"teacher": expected, "student": said(sharp_run, "student", PROMPT)}
    assert expected != said(sharp_run, "teacher", PROMPT)


def test_a_teacher_behind_a_server_is_sent_its_example(shown_run: Path) -> None:
    model = find_model(shown_run, "teacher")
    source = OpenAI(model="x", base_url="http://127.0.0.1:9/v1", api_key_env=None)
    teacher = model.recipe.teacher.model_copy(update={"model": source})
    behind = replace(model, recipe=model.recipe.model_copy(update={"teacher": teacher}))
    generator = Talk([behind])._generator(behind)
    sent = json.loads(generator.rendered(Prompt("x", PROMPT)))
    assert [(message["role"], message["content"]) for message in sent] == [
        ("user", "Name it: a green lamp "),
        ("assistant", "green lamp"),
        ("user", f"Name it: {PROMPT} "),
    ]


def test_likelihood_is_of_the_answer_under_the_model_that_gave_it(sharp_run: Path) -> None:
    import torch

    talk = Talk([find_model(sharp_run, "student")], likelihood=True)
    (answer,) = talk.ask(PROMPT)
    model, _, formatter = find_model(sharp_run, "student").load()
    prompt, response = formatter.prompt_ids(PROMPT), formatter.response_ids(answer.text, answer.finished)
    with torch.no_grad():
        logps = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    by_hand = [float(logps[len(prompt) + n - 1, token]) for n, token in enumerate(response)]
    assert answer.logp == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-5)


def test_models_are_loaded_when_asked_and_once_and_draws_differ(sharp_run: Path) -> None:
    talk = Talk([find_model(sharp_run, "student")])
    assert talk._generators == {}
    first = next(talk.ask(PROMPT))
    loaded = talk._generators["student"]
    assert next(talk.ask(PROMPT)) == first
    drawn = set()
    for talk.drawn in range(1, 6):
        drawn.add(next(talk.ask(PROMPT)).text)
    assert talk._generators["student"] is loaded
    assert len(drawn) > 1


@pytest.mark.slow
def test_on_a_terminal(sharp_run: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    env = offline() | {"TERM": "xterm", "COLUMNS": "140", "PYTHONPATH": os.pathsep.join(sys.path)}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "plad", "chat", str(sharp_run)],
        env=env,
        dimensions=(40, 140),
        timeout=120,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where the tests run in the background
        encoding="utf-8",
    )
    child.expect("teacher, student, plad of .*; /help tells")
    child.expect("> ")
    child.sendline("/hlp")
    child.expect("there is no /hlp.")
    child.sendline("/again")
    child.expect("nothing was asked yet.")
    child.expect("> ")
    child.sendline(PROMPT)
    child.expect("teacher.*student, before.*plad, after")
    child.expect("> ")
    child.sendline("/sample")
    child.expect("at temperature 0.7, anew each time")
    child.expect("> ")
    child.sendline("/again")
    child.expect("teacher.*student, before.*plad, after")
    child.expect("> ")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
