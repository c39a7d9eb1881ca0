"""A teacher of which nothing but text is seen, through the whole pipeline: an API on loopback, and recorded answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from servers import Answer, Server, asked_of, completion, stub
from tiny_run import RECIPE, REPORTS, TASKS, Recorder, differing, finished, no_trace, rows, write_recipe, write_rows

from plad.cli import main
from plad.config import load_recipe
from plad.errors import PladError
from plad.estimate import Line, Speed, estimate, table
from plad.generation import Store
from plad.pipeline import run
from plad.records import Generation, read_jsonl

KEY = "sk-for-the-teacher-only"
OWN = RECIPE[RECIPE.index("teacher:") : RECIPE.index("student:")]
API = """\
teacher:
  model: {type: openai, model: big, base_url: "URL", price: {input: 1.0, output: 10.0}, limits: {max_failed: 1}}
  sft: null
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def wise(body: dict[str, Any]) -> Answer:
    """Knows the reference of every prompt of the tiny task: its first two words. `red road` it cannot do."""
    first, second, *_ = asked_of(body).split()
    return Answer(b"{}", 400) if (first, second) == ("red", "road") else Answer(completion(f"{first} {second}"))


def recipe_for(folder: Path, server: Server) -> Path:
    return write_recipe(folder, RECIPE.replace(OWN, API.replace("URL", server.url)))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[int]]:
    """Two equal runs over one store, and how many requests each made."""
    pytest.importorskip("openai")
    folder, asked = tmp_path_factory.mktemp("api"), []
    with pytest.MonkeyPatch.context() as patch, stub(wise).running() as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("PLAD_CACHE", str(folder / "store"))
        recipe = load_recipe(recipe_for(folder, server), ["baselines={sft: null, seqkd: null}"])
        for name in ("run", "other"):
            run(recipe, folder / name, Recorder())
            asked.append(len(server.seen) - sum(asked))
    return folder / "run", folder / "other", asked


def test_an_api_teaches(taught: tuple[Path, Path, list[int]]) -> None:
    folder, other, (first, second) = taught
    assert first > 30
    assert second <= 1, "a second run pays for nothing; what failed is tried again"
    baselines = ("sft/teacher", "distill/sft", "distill/seqkd", "evaluate/sft", "evaluate/seqkd")
    assert list(finished(folder)) == [task for task in TASKS if task not in baselines]
    assert not (folder / "models" / "teacher").exists()
    assert differing(folder, other) <= REPORTS
    answers = [*read_jsonl(folder / "generations" / "teacher.jsonl", Generation)]
    prompts = [json.loads(line) for line in (folder / "data" / "distill.jsonl").read_text().splitlines()]
    assert [answer.id for answer in answers] == [prompt["id"] for prompt in prompts]
    for answer, prompt in zip(answers, prompts, strict=True):
        assert answer.failure or answer.response == " ".join(prompt["prompt"].split()[:2])
    no_trace(folder.parent, KEY)


def test_the_report_tells_tokens_and_money(taught: tuple[Path, Path, list[int]]) -> None:
    folder, other, _ = taught
    summary = finished(folder)["sample/teacher"]["summary"]
    good = summary["n"] - summary.get("failed", 0)
    # The stub tells 10 tokens of prompt and 5 of answer for each, at 1 and at 10 a million.
    assert (summary["prompt_tokens"], summary["tokens"]) == (10 * good, 5 * good)
    money = round(good * (10 * 1 + 5 * 10) / 1e6, 6)
    assert summary["paid"] == {"requests": good, "prompt_tokens": 10 * good, "tokens": 5 * good, "money": money}
    tested = finished(folder)["evaluate/teacher"]["summary"]["paid"]["money"]
    assert f"| Paid for in this run | {money + tested:.4f} · " in (folder / "report.md").read_text()
    assert "Paid for in this run" in (folder / "report.html").read_text()
    assert finished(other)["sample/teacher"]["summary"]["paid"]["money"] == 0
    assert "| Paid for in this run | 0.0000 · 0 requests |" in (other / "report.md").read_text()


def test_an_estimate_leaves_out_what_is_in_the_store(taught: tuple[Path, Path, list[int]]) -> None:
    folder, store = taught[0], Store(taught[0].parent / "store")

    def lines(*overrides: str) -> dict[str, Line]:
        recipe = load_recipe(folder / "recipe.yaml", overrides)
        return {line.task: line for line in estimate(recipe, Speed(1e9, 1e9), store)}

    failed, found = 0, lines()
    for task in ("sample/teacher", "evaluate/teacher"):
        summary = finished(folder)[task]["summary"]
        left = summary.get("failed", 0)
        failed += left
        assert (found[task].requests, found[task].kept) == (left, summary["n"] - left)
        assert (found[task].money == 0) == (left == 0)
    assert failed == taught[2][1], "as many as the second run asked for"
    anew = lines("teacher.model.revision='2'")["sample/teacher"]
    assert (anew.requests, anew.kept) == (anew.prompts, 0)
    # Two answers are wanted and one is there: as many requests, each for the other one.
    more = lines("sample.samples=2")["sample/teacher"]
    assert (more.requests, more.kept) == (anew.requests, found["sample/teacher"].kept)
    told = table(list(found.values()))
    assert f"sample/teacher: {found['sample/teacher'].kept} answers are in the store already" in told


def test_pressing_a_server_less_hard_runs_nothing_again(taught: tuple[Path, Path, list[int]]) -> None:
    folder, display = taught[0], Recorder()
    own = folder / "recipe.yaml"
    changes = ["teacher.model.limits.concurrency=1", "teacher.model.price.input=2", "teacher.model.budget=9"]
    run(load_recipe(own, changes), folder, display)
    assert display.worked == []
    with pytest.raises(PladError, match="pair needs the stages before it, but prepare/check is not done"):
        run(load_recipe(own, ["teacher.model.revision='2'"]), folder, display, only="pair")


def until(recipe: Path, folder: Path, *overrides: str) -> Recorder:
    """The stages up to sampling."""
    display = Recorder()
    for stage in ("prepare", "sft", "sample"):
        run(load_recipe(recipe, ["student.sft.max_steps=2", *overrides]), folder, display, only=stage)
    return display


def test_a_budget_stops_the_run_and_a_higher_one_continues_it(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    with stub(wise).running() as server:
        recipe = recipe_for(tmp_path, server)
        with pytest.raises(PladError, match=r"may cost 0\.002 in all \(budget\), and 0\.00\d+ is spent"):
            until(recipe, tmp_path / "run", "teacher.model.budget=0.002")
        before = len(server.seen)
        assert until(recipe, tmp_path / "run", "teacher.model.budget=1").worked[0] == "sample/teacher"
        asked = [asked_of(body) for body in server.seen if not asked_of(body).startswith("red road")]
    assert 0 < before < len(server.seen)
    assert len(set(asked)) == len(asked), "nothing is paid for twice"


def test_recorded_answers_teach(tmp_path: Path) -> None:
    recorded = [{"prompt": row["prompt"], "response": row["reference"]} for row in rows()]
    file = write_rows(tmp_path / "recorded.jsonl", recorded)
    text = RECIPE.replace(OWN, f"teacher: {{model: {{type: recorded, path: {file}}}, sft: null}}\n")
    text += "baselines: {sft: null, seqkd: null}\n"
    recipe = load_recipe(write_recipe(tmp_path, text))
    folder = run(recipe, tmp_path / "run", Recorder()).folder
    results = json.loads((folder / "evaluation" / "results.json").read_text())
    assert results["rows"][0]["rougeL"]["value"] == 1.0, "the teacher gives the reference"
    file.write_text(file.read_text().replace("red", "blue"))
    with pytest.raises(PladError, match="pair needs the stages before it, but sample/teacher is not done"):
        run(recipe, folder, display := Recorder(), only="pair")
    assert any("sample/teacher runs again" in line for line in display.lines), "an edit of the answers is noticed"


def test_a_teacher_without_weights_is_not_fine_tuned(tmp_path: Path) -> None:
    text = RECIPE.replace(OWN, "teacher: {model: {type: openai, model: big}}\n")
    with pytest.raises(PladError, match=r"line 6: teacher\.sft: only a model whose weights are here .* Set it to null"):
        load_recipe(write_recipe(tmp_path, text))


def test_a_student_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(PladError, match=r"student\.model: unknown type 'openai'.* Known: pretrained, scratch"):
        load_recipe(write_recipe(tmp_path), ["student.model={type: openai, model: big}"])


def test_looking_into_a_teacher_that_shows_text_alone_is_refused(tmp_path: Path) -> None:
    from plad.runs import Run
    from plad.stages import Context
    from plad.stages.models import load

    text = RECIPE.replace(OWN, "teacher: {model: {type: openai, model: big}, sft: null}\n")
    context = Context(Run(tmp_path), load_recipe(write_recipe(tmp_path, text)), Recorder(), tmp_path)
    with pytest.raises(PladError, match=r"a teacher whose weights are here, but teacher.model is of type openai"):
        load(context, "teacher")


@pytest.mark.parametrize(
    "override",
    [
        f"teacher.model.api_key={KEY}",
        f"teacher.model.api_key_env={KEY}",
        f"teacher.model={{type: openai, model: big, api_key: {KEY}}}",
        f"teacher.model={{type: openai, model: big, api_key_env: {KEY}}}",
    ],
)
def test_a_key_in_the_recipe_is_refused_and_not_repeated(tmp_path: Path, override: str) -> None:
    text = RECIPE.replace(OWN, "teacher: {model: {type: openai, model: big}, sft: null}\n")
    result = CliRunner().invoke(main, ["run", str(write_recipe(tmp_path, text)), "--set", override])
    assert result.exit_code == 2
    assert "api_key" in result.output
    assert KEY not in result.output


def test_the_change_that_the_readme_shows(tmp_path: Path) -> None:
    """Its block in place of the teacher of `plad init`, with nothing but the address of the server changed."""
    pytest.importorskip("openai")
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(teacher:.*?)```", readme, flags=re.DOTALL)
    write_rows(tmp_path / "data.jsonl", rows())
    recipe = tmp_path / "own.yaml"
    CliRunner().invoke(main, ["init", str(recipe), "--data", str(tmp_path / "data.jsonl")])
    text = recipe.read_text()
    recipe.write_text(text[: text.index("teacher:")] + block + "\n" + text[text.index("student:") :])
    assert load_recipe(recipe).teacher.model.budget == 5
    tiny = "{type: scratch, width: 16, layers: 1, heads: 2, vocabulary: 320, context: 640}"
    splits = "{near_duplicates: null, train: 0.4, distill: 0.4, validation: 0.1, test: 0.1}"
    small = [f"student.model={tiny}", "student.sft={max_steps: 2, batch_size: 4}", "prompt.chat=false"]
    small += [f"task.splits={splits}", "evaluate.judge={type: length}", "sample.max_new_tokens=8"]
    with stub(lambda body: Answer(completion("an answer"))).running() as server:
        until(recipe, tmp_path / "run", *small, f"teacher.model.base_url={server.url}")
        assert {body["model"] for body in server.seen} == {"gpt-4.1-mini"}
    answers = [*read_jsonl(tmp_path / "run" / "generations" / "teacher.jsonl", Generation)]
    assert {answer.response for answer in answers} == {"an answer"}
