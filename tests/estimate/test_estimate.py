"""The estimate against numbers counted from the run that it is of."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_run import RECIPE, finished, write_recipe

from plad.cli import main
from plad.config import load_recipe
from plad.estimate import Line, estimate, table
from plad.models.prompts import PromptFormat
from plad.speed import Speed

OWN = RECIPE[RECIPE.index("teacher:") : RECIPE.index("student:")]
API = """\
teacher:
  model: {type: openai, model: big, price: {input: 1000.0, output: 3000.0}, limits: {requests_per_minute: 30}}
  sft: null
"""
JUDGE = "{type: judge, model: {type: openai, model: big, price: {input: 10.0, output: 30.0}}, max_new_tokens: 50}"
SPEED = Speed(training=2e6, sampling=1e6)


def by_task(path: Path, *overrides: str) -> dict[str, Line]:
    return {line.task: line for line in estimate(load_recipe(path, overrides), SPEED)}


def test_the_estimate_of_a_run_is_of_that_run(tiny_recipe: Path, finished_run: Path) -> None:
    found = by_task(tiny_recipe)
    tasks = finished(finished_run)
    assert found.keys() == {
        name for name in tasks if re.match("sft|sample|distill|evaluate/(?!results|judge|also)", name)
    }
    splits = json.loads((finished_run / "data" / "summary.json").read_text())["splits"]
    distill = [json.loads(line) for line in (finished_run / "data" / "distill.jsonl").read_text().splitlines()]
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(finished_run / "models" / "student")
    formatter = PromptFormat().bind(tokenizer)
    tokens = sum(len(formatter.prompt_ids(row["prompt"])) for row in distill)
    for name in ("teacher", "student"):
        assert found[f"sample/{name}"].prompts == splits["distill"] == tasks[f"sample/{name}"]["summary"]["n"]
        assert found[f"sample/{name}"].prompt_tokens == tokens
    # 40 steps of 4 prompts; 6 FLOPs a weight and token; one answer each, where plad has two in 4 steps of 4.
    sft, plad = found["sft/teacher"], found["distill/plad"]
    assert sft.prompt_tokens == round(160 * tokens / len(distill))
    weights = tasks["sft/teacher"]["summary"]["parameters"]
    assert sft.flops == 6.0 * weights * (sft.prompt_tokens + sft.tokens)
    assert sft.hours == sft.flops / 2e6 / 3600
    assert plad.prompt_tokens == round(16 * tokens / len(distill))
    assert plad.tokens == pytest.approx(2 * sft.tokens / 10, abs=1)
    assert plad.flops == 4.0 * weights * (plad.prompt_tokens + plad.tokens), "an adapter's weights alone have gradients"


def test_a_method_learns_from_the_half_that_its_text_is_of(tiny_recipe: Path, finished_run: Path) -> None:
    """References are of the training half; the steps are counted by the pairs either way, and so is the cost."""
    splits = json.loads((finished_run / "data" / "summary.json").read_text())["splits"]
    epoch = ("baselines.kd={}", "baselines.minillm={}", "distill.max_steps=null", "distill.epochs=1")
    found = by_task(tiny_recipe, *epoch)
    assert splits["train"] != splits["distill"]
    for name, split in (("sft", "train"), ("kd", "train"), ("seqkd", "distill"), ("minillm", "distill")):
        assert found[f"distill/{name}"].prompts == splits[split], name
    assert found["distill/sft"].flops == found["distill/seqkd"].flops
    summary = finished(finished_run)["distill/sft"]["summary"]
    assert found["distill/sft"].prompts == summary["examples"]


def test_what_the_teacher_says_is_counted_where_it_is_asked(tiny_recipe: Path, finished_run: Path) -> None:
    """Beside the student at every step, or once along the whole of a text, of which two methods have one."""
    methods = ("baselines.kd={}", "baselines.hot={type: kd, temperature: 2}", "baselines.f_js={}")
    beside, kept = by_task(tiny_recipe, *methods), by_task(tiny_recipe, *methods, "distill.teacher_logits={}")
    assert kept.keys() - beside.keys() == {"distill/logits/references", "distill/logits/both"}
    teacher = finished(finished_run)["sft/teacher"]["summary"]["parameters"]
    along, sft = kept["distill/logits/references"], beside["distill/sft"]
    assert along.prompts == sft.prompts
    assert along.flops == 2.0 * teacher * (along.prompt_tokens + along.tokens)
    # The 16 examples of the steps, and the whole of the training half.
    assert along.tokens / along.prompts == pytest.approx(sft.tokens / 16, rel=0.02)
    both = kept["distill/logits/both"]
    assert both.tokens / both.prompts == pytest.approx(2 * sft.tokens / 16, rel=0.02)
    assert kept["distill/kd"].flops == sft.flops
    assert beside["distill/kd"].flops == sft.flops + 2.0 * teacher * (sft.prompt_tokens + sft.tokens)


def test_what_the_run_will_drop_costs_nothing(tiny_recipe: Path, finished_run: Path) -> None:
    from transformers import AutoTokenizer

    formatter = PromptFormat().bind(AutoTokenizer.from_pretrained(finished_run / "models" / "student"))
    distill = [json.loads(line) for line in (finished_run / "data" / "distill.jsonl").read_text().splitlines()]
    sizes = sorted(len(formatter.prompt_ids(row["prompt"])) for row in distill)
    limit = sizes[-1] - 1
    short = sum(size <= limit for size in sizes)
    assert 0 < short < len(sizes)
    found = by_task(tiny_recipe, "prompt.too_long=drop", f"prompt.max_prompt_tokens={limit}")
    assert found["sample/teacher"].prompts == found["sample/student"].prompts == short


def test_rounds_ask_the_teacher_for_the_validation_split_alone(tiny_recipe: Path) -> None:
    one, three = by_task(tiny_recipe), by_task(tiny_recipe, "distill.rounds=3")
    more = three.keys() - one.keys()
    assert more == {f"distill/plad@{k}/check" for k in range(4)} | {"distill/plad@0/check, teacher"} | {
        f"distill/plad@{k}{what}" for k in (2, 3) for what in ("", "/pairs")
    }
    assert {three[f"distill/plad@{k}/check"].prompts for k in range(4)} == {
        three["distill/plad@0/check, teacher"].prompts
    }
    assert three["distill/plad@3"].flops == one["distill/plad"].flops
    assert three["distill/plad@2/pairs"].tokens == one["sample/student"].tokens


def test_money_of_a_teacher_on_a_server_that_is_not_asked(tmp_path: Path) -> None:
    found = by_task(write_recipe(tmp_path, RECIPE.replace(OWN, API)), "sample.samples=2")
    line = found["sample/teacher"]
    assert line.requests == line.prompts > 10
    assert line.money == (line.prompt_tokens * 1000 + line.tokens * 3000) / 1e6
    assert line.money_at_most == (line.prompt_tokens * 1000 + 2 * line.prompts * 16 * 3000) / 1e6
    assert line.hours == line.requests / 30 / 60
    assert line.flops == 0
    assert "sft/teacher" not in found
    tested = found["evaluate/teacher"]
    assert tested.money_at_most == (tested.prompt_tokens * 1000 + tested.prompts * 16 * 3000) / 1e6


def test_rounds_pay_a_server_for_the_validation_split_once(tmp_path: Path) -> None:
    found = by_task(write_recipe(tmp_path, RECIPE.replace(OWN, API)), "distill.rounds=2")
    line = found["distill/plad@0/check, teacher"]
    assert line.requests == line.prompts == found["distill/plad@1/check"].prompts > 0
    assert line.money == (line.prompt_tokens * 1000 + line.tokens * 3000) / 1e6
    assert not any("teacher" in task and "@0" not in task for task in found if "@" in task)


def test_the_table_adds_up_and_speaks_of_the_budget() -> None:
    lines = [
        Line("sft/student", 10, 100, 50, flops=3e12, hours=0.5),
        Line("sample/teacher", 1000, 20_000, 5000, 0.0, 0.25, 1000, 1.25, 4.5),
    ]
    *_, last = table(lines).splitlines()
    assert " ".join(last.split()) == "in all 1,010 20,100 5,050 1,000 1.25 4.50 3.00 45 min 00 s"
    assert table(lines, budget=4.0).endswith(
        "4.50 may be spent, which is over the budget of 4: the run may stop there."
    )
    assert "budget" not in table(lines, budget=5.0)


def test_money_of_a_judge_on_a_server_that_is_not_asked(tiny_recipe: Path) -> None:
    found = by_task(tiny_recipe, f"evaluate.also=[{JUDGE}]")
    line = found["evaluate/also-judge"]
    # All against the references, all but the student against the student; in both orders.
    models = sum(name.startswith("distill/") for name in found) + 2
    assert line.requests == 2 * line.prompts * (models + models - 1)
    assert line.prompts == found["evaluate/plad"].prompts
    assert line.tokens == 50 * line.requests
    assert line.money == line.money_at_most == pytest.approx((line.prompt_tokens * 10 + line.tokens * 30) / 1e6)
    characters = len(load_recipe(tiny_recipe, [f"evaluate.also=[{JUDGE}]"]).evaluate.also[0].template)
    assert line.prompt_tokens > line.requests * characters / 20, "the rubric is sent with every question"
    first = by_task(tiny_recipe, f"evaluate.judge={JUDGE}", "evaluate.calibration=null")["evaluate/verdicts"]
    assert first.requests == line.requests


def test_an_audit_by_a_judge_on_a_server_costs_two_requests_a_pair(tiny_recipe: Path) -> None:
    audit = f"pairs.audit={{prompts: 7, scorer: {JUDGE}}}"
    some = by_task(tiny_recipe, audit)["pair/audit"]
    assert (some.prompts, some.requests, some.tokens) == (7, 14, 14 * 50)
    assert some.money == some.money_at_most == pytest.approx((some.prompt_tokens * 10 + some.tokens * 30) / 1e6)
    plad = by_task(tiny_recipe)["distill/plad"].prompts
    several = ("sample.samples=3", "pairs.negatives=all", "distill.rounds=2")
    found = by_task(tiny_recipe, f"pairs.audit={{action: drop, scorer: {JUDGE}}}", *several)
    assert found["pair/audit"].requests == found["distill/plad@2/audit"].requests == 2 * 3 * plad, "every pair"
    assert "pair/audit" not in by_task(tiny_recipe, "pairs.audit={scorer: {type: length}}"), "a scorer is not paid for"


def test_what_a_guard_asks_is_counted(tiny_recipe: Path, finished_run: Path) -> None:
    """Four steps, looked at from the start, after the third and after the last."""
    weights = finished(finished_run)["sft/student"]["summary"]["parameters"]
    found = by_task(tiny_recipe, "distill.guard={every: 3, prompts: 5}")
    line, answers = found["distill/plad/guard"], found["sample/student"]
    assert line.prompts == 3 * 5
    assert line.tokens == pytest.approx(15 * answers.tokens / answers.prompts, abs=1)
    # Answers, and the preferred answers read.
    assert line.flops == pytest.approx(2 * 2 * weights * (line.prompt_tokens + line.tokens), rel=0.01)
    assert {"distill/sft/guard", "distill/seqkd/guard"} <= found.keys(), "whatever the method"
    exact = by_task(tiny_recipe, "distill.guard={every: 2, prompts: 5}")["distill/plad/guard"]
    assert exact.prompts == 3 * 5


def test_a_guard_that_keeps_the_best_asks_for_the_validation_split_and_its_judge(
    tiny_recipe: Path, finished_run: Path
) -> None:
    held_out = json.loads((finished_run / "data" / "summary.json").read_text())["splits"]["validation"]
    best = ("distill.guard={every: 3, prompts: 5}", "distill.keep=best")
    assert by_task(tiny_recipe, *best)["distill/plad/guard"].prompts == 3 * (5 + held_out)
    paid = by_task(tiny_recipe, *best, f"evaluate.judge={JUDGE}", "distill.rounds=2", "evaluate.calibration.samples=2")
    assert paid["distill/plad/guard, judge"].requests == 2 * 3 * held_out
    assert paid["distill/plad@2/guard"] == replace(paid["distill/plad/guard"], task="distill/plad@2/guard")
    # Teacher and initial student at first, then the student of each round; calibration has two models.
    assert paid["distill/plad@0/check, judge"].requests == 2 * paid["distill/plad@2/check, judge"].requests
    assert paid["evaluate/calibration, judge"].requests == 2 * 2 * paid["evaluate/calibration"].prompts


def test_a_server_without_limits_takes_nobody_knows_how_long(tmp_path: Path) -> None:
    teacher = API.replace(", limits: {requests_per_minute: 30}", "")
    found = estimate(load_recipe(write_recipe(tmp_path, RECIPE.replace(OWN, teacher))), SPEED)
    row = next(row for row in table(found).splitlines() if row.startswith("sample/teacher"))
    assert row.split()[-1] == "unknown"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    recipe = write_recipe(tmp_path, RECIPE.replace(OWN, API))
    told = CliRunner().invoke(main, ["estimate", str(recipe), "--gpu", "a100", "--set", "teacher.model.budget=0.01"])
    assert told.exit_code == 0, told.output
    assert re.search(r"^sample/teacher +\d+ ", told.output, flags=re.MULTILINE)
    assert "over the budget of 0.01" in told.output
    told = CliRunner().invoke(main, ["estimate", str(recipe), "--json"])
    events = [json.loads(line) for line in told.output.splitlines()]
    assert {event["event"] for event in events} == {"estimate"}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [], "nothing is written"


def test_a_budget_is_spent_to_a_step_by_all_rounds(tiny_recipe: Path) -> None:
    settings = ["distill.max_steps=null", "distill.max_flops=3e9", "distill.rounds=3"]
    lines = {line.task: line for line in estimate(load_recipe(tiny_recipe, settings), SPEED)}
    trained = [line.flops for name, line in lines.items() if re.fullmatch(r"distill/plad(@\d)?", name)]
    assert len(trained) == 3
    for spent in (lines["distill/sft"].flops, sum(trained)):
        assert 0.95 * 3e9 < spent <= 3e9
