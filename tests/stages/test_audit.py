"""The audit of pairs through the pipeline: who looks, what becomes of pairs, and what a weight does to a loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
import torch
from servers import Answer, asked_of, completion, stub
from tiny_run import Recorder, finished

from plad.config import load_recipe
from plad.errors import PladError
from plad.losses import DPO, RankingCalibration, Sequences
from plad.models.load import weights_digest
from plad.pipeline import run
from plad.planning import fingerprints, plan
from plad.records import PreferencePair, read_jsonl
from plad.report.audit import audit_facts, audit_verdict
from plad.report.read import read_run
from plad.stages.audit import Looked, _weight

LENGTH = "pairs.audit.scorer={type: length}"


@pytest.fixture
def paired(copy_of_run: Callable[[], Path]) -> Callable[..., tuple[list[PreferencePair], dict, Recorder]]:
    """Pairs a copy of the run anew; gives the pairs, pairs.json and what was told."""
    folder = copy_of_run()

    def make(*overrides: str) -> tuple[list[PreferencePair], dict, Recorder]:
        recipe, display = load_recipe(folder / "recipe.yaml", overrides), Recorder()
        for stage in ("prepare", "pair"):
            run(recipe, folder, display, only=stage)
        pairs = list(read_jsonl(folder / "pairs.jsonl", PreferencePair))
        return pairs, json.loads((folder / "pairs.json").read_text()), display

    make.folder = folder  # type: ignore[attr-defined]
    return make


def longer(pair: PreferencePair) -> float:
    """1 where the preferred answer has more words, ½ where both have as many."""
    gap = len(pair.chosen.split()) - len(pair.rejected.split())
    return 0.5 if gap == 0 else float(gap > 0)


def test_an_audit_looks_at_some_and_changes_none(paired: Callable) -> None:
    plain, *_ = paired()
    pairs, told, display = paired(LENGTH, "pairs.audit.prompts=10")
    assert pairs == plain
    audit = told["audit"]
    assert (audit["teacher_better"]["n"], audit["action"], audit["changed"]) == (10, "keep", 0)
    assert sum(audit["kinds"].values()) == len(plain)
    _, every, _ = paired(LENGTH)
    assert every["audit"]["teacher_better"]["value"] == pytest.approx(fmean(map(longer, plain)))
    assert any("audit: the teacher's answer is better on" in line for line in display.lines)


def test_pairs_are_turned_round_or_dropped_where_the_students_is_better(paired: Callable) -> None:
    plain, *_ = paired()
    worse = [pair for pair in plain if longer(pair) == 0]
    assert 0 < len(worse) < len(plain), "the tiny run has both kinds"
    flipped, told, _ = paired(LENGTH, "pairs.audit.action=flip")
    assert flipped == [pair.swap() if pair in worse else pair for pair in plain]
    assert told["audit"]["changed"] == len(worse)
    dropped, told, _ = paired(LENGTH, "pairs.audit.action=drop")
    assert dropped == [pair for pair in plain if pair not in worse]
    assert (told["dropped"]["audit"], told["made"]) == (len(worse), len(plain) - len(worse))


def test_weights_are_how_sure_an_order_is_and_one_on_average(paired: Callable) -> None:
    plain, *_ = paired()
    weighted, *_ = paired(LENGTH, "pairs.audit.action=weight")
    gaps = [float(len(pair.chosen.split()) - len(pair.rejected.split())) for pair in plain]
    scale = median(map(abs, gaps)) or fmean(map(abs, gaps))
    sure = torch.sigmoid(torch.tensor(gaps, dtype=torch.float64) / scale)
    assert [pair.weight for pair in weighted] == pytest.approx((sure / sure.mean()).tolist())
    assert fmean(pair.weight for pair in weighted) == pytest.approx(1)


def say_which_is_longer(body: dict[str, Any]) -> Answer:
    """A judge that counts words, behind a server."""
    first, second = (len(part.split()) for part in asked_of(body).split("###")[1:])
    return Answer(completion("Verdict: " + ("tie" if first == second else "A" if first > second else "B")))


def test_a_pairwise_judge_compares_the_two_answers(
    paired: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-audit")
    (tmp_path / "rubric.txt").write_text("{prompt} ### {first} ### {second}")
    plain, *_ = paired()
    with stub(say_which_is_longer).running() as server:
        model = f"{{type: openai, model: big, base_url: '{server.url}'}}"
        judge = f"pairs.audit.scorer={{type: judge, model: {model}, rubric: {tmp_path / 'rubric.txt'}}}"
        dropped, told, _ = paired(judge, "pairs.audit.action=drop")
        asked = len(server.seen)
        weighted, *_ = paired(judge, "pairs.audit.action=weight")
        assert len(server.seen) == asked, "what was judged is not asked again"
    assert dropped == [pair for pair in plain if longer(pair) > 0]
    assert told["audit"]["teacher_better"]["value"] == pytest.approx(fmean(map(longer, plain)))
    scale = fmean(map(longer, plain))
    assert [pair.weight for pair in weighted] == pytest.approx([longer(pair) / scale for pair in plain])
    assert "big" in told["audit"]["scorer"]


def test_a_judge_that_finds_no_teachers_answer_better_leaves_nothing_to_weight() -> None:
    pair = PreferencePair("1", "q", "a", "b")
    assert _weight([Looked(pair, 0.0, 0.0)]) == ([], 1)


def test_a_pair_counts_by_its_weight() -> None:
    # Hinges at β = 1 with gaps of 0 and −1: 1 and 2. Weighted by ½ and 3: 6.5, over two pairs as before.
    logps = torch.tensor([[[-1.0], [-1.0]], [[-2.0], [-1.0]]])
    lengths = torch.ones(2, 2, dtype=torch.long)
    output = RankingCalibration()(Sequences(logps, lengths, weights_BR=torch.tensor([[1.0, 0.5], [1.0, 3.0]])))
    assert (output.loss.item(), output.units.item()) == (6.5, 2)
    alike = DPO()(Sequences(logps, lengths, reference_logps_BR=torch.zeros(2, 2), weights_BR=torch.ones(2, 2)))
    assert alike.loss == DPO()(Sequences(logps, lengths, reference_logps_BR=torch.zeros(2, 2))).loss


def test_a_student_learns_from_weighted_pairs_and_the_report_says_so(paired: Callable) -> None:
    folder = paired.folder  # type: ignore[attr-defined]
    before = weights_digest(folder / "models" / "plad")
    settings = [LENGTH, "pairs.audit.action=weight", "baselines={sft: null, seqkd: null}"]
    run(load_recipe(folder / "recipe.yaml", settings), folder, Recorder())
    assert weights_digest(folder / "models" / "plad") != before
    read = read_run(folder)
    assert "weighted by how sure" in audit_verdict(read)
    assert audit_facts(read)[0].name == "Teacher's answer is the better one"
    assert "Is the teacher's answer the better one?" in (folder / "report.html").read_text()
    assert "## The pairs audited" in (folder / "report.md").read_text()
    assert finished(folder)["pair"]["summary"]["audit"]["action"] == "weight"


def test_the_judge_audits_only_where_the_recipe_says_so(tiny_recipe: Path) -> None:
    with pytest.raises(PladError, match=r"pairs\.audit: the scorer of the audit, rouge, is evaluate\.judge too"):
        load_recipe(tiny_recipe, ["pairs.audit.scorer={type: rouge}"])
    allowed = load_recipe(tiny_recipe, ["pairs.audit.scorer={type: rouge}", "pairs.audit.by_judge=true"])
    assert allowed.audits_by_judge
    with pytest.raises(PladError, match=r"pairs\.audit: an audit is for a scorer to make, but neither"):
        load_recipe(tiny_recipe, ["pairs.audit={}"])
    with pytest.raises(PladError, match=r"pairs\.audit: bradley_terry is a scorer to train"):
        load_recipe(tiny_recipe, ["pairs.audit.scorer={type: bradley_terry}"])


def test_a_run_without_an_audit_keeps_its_fingerprints(tiny_recipe: Path) -> None:
    recipe = load_recipe(tiny_recipe, ["pairs.scorer={type: length}", "pairs.real_share=0.5"])
    assert "audit" not in json.dumps([task.settings for task in plan(recipe)], default=list)
    audited = load_recipe(tiny_recipe, [LENGTH])
    one, other = (fingerprints(plan(each), 1) for each in (load_recipe(tiny_recipe), audited))
    assert {name for name in one if one[name] == other[name]} >= {"sample/teacher", "evaluate/judge"}
    assert one["pair"] != other["pair"]


def test_a_margin_on_the_scorers_own_scale_keeps_its_fingerprints(tiny_recipe: Path) -> None:
    def told(*settings: str) -> str:
        recipe = load_recipe(tiny_recipe, ["pairs.scorer={type: length}", "distill.loss.type=margin", *settings])
        return json.dumps([task.settings for task in plan(recipe)], default=list)

    assert '"bands"' not in told("baselines.other={type: plad, loss: {type: margin, margin: 2}}")
    assert '"bands"' in told("distill.loss.scale=rank")
