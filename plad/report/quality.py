"""How far to trust a win: paired tests, other scorers, length, and whether likelihood tracks quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.facts import Fact
from plad.report.numbers import Estimate, count, interval, percent, with_interval
from plad.report.read import RunFiles

MEASURES = {"pairwise_accuracy": "Better sample is likelier", "rank_correlation": "Rank correlation"}


def comparison_facts(run: RunFiles) -> list[Fact]:
    """The run's method against each of the others: wins, ties, losses and the p-values of the paired tests."""
    facts = []
    for row in (run.results or {}).get("comparisons", ()):
        name = f"{run.label(row['name'])} against {run.label(row['other'])}"
        counts = f"{count(row['wins'])} wins, {count(row['ties'])} ties, {count(row['losses'])} losses"
        facts.append(Fact(name, with_interval(row["win_rate"]), note=f"{counts}; sign test {p_value(row['p'])}"))
        ahead = f"{points(row['difference'])}; permutation test {p_value(row['difference_p'])}"
        facts.append(Fact("Difference of their win rates against the reference", ahead))
    return facts


def doubt_facts(run: RunFiles) -> list[Fact]:
    """How often a pairwise judge's verdict hung on the order of the answers, or held no verdict at all."""
    scorer = (run.results or {}).get("scorer") or {}
    names = {
        "inconsistent": "Verdicts that hung on the order (counted as ties)",
        "unreadable": "Comparisons with a reply that held no verdict",
    }
    return [
        Fact(
            text, f"{percent(scorer[key]['value'])} %", note=f"{interval(scorer[key])} · n = {count(scorer[key]['n'])}"
        )
        for key, text in names.items()
        if key in scorer
    ]


def scorer_facts_beside(run: RunFiles) -> list[Fact]:
    """How far each other scorer agrees with the judge on the same outputs."""
    facts = []
    for scorer in scorers(run):
        told = scorer.get("agreement") or {}
        if told.get("pairwise"):
            agrees = f"the same answer of two is better on {with_interval(told['pairwise'])}"
            facts.append(Fact(f"{scorer['name']} and the judge", agrees))
        if told.get("spearman"):
            rank = told["spearman"]
            facts.append(Fact("Rank correlation of the answers to a prompt", _plain(rank), note=_bounds(rank)))
    return facts


def calibration_facts(run: RunFiles) -> list[Fact]:
    """Agreement of each model's likelihood with quality, and what distillation changed."""
    found = run.calibration or {}
    facts = [
        Fact(f"{text}: {run.label(row['name'])}", _measure(key, row[key]), note=_measure_bounds(key, row[key]))
        for key, text in MEASURES.items()
        for row in found.get("rows", ())
        if row.get(key)
    ]
    change = found.get("change") or {}
    return facts + [
        Fact(f"Change: {text[0].lower()}{text[1:]}", _change(key, change[key]))
        for key, text in MEASURES.items()
        if change.get(key)
    ]


def calibration_verdict(run: RunFiles) -> str:
    """Whether the likelihood came to track quality, in one sentence that claims no more than its interval."""
    found = run.calibration or {}
    change = (found.get("change") or {}).get("pairwise_accuracy")
    if not change:
        return ""
    base = f"{count(found.get('samples'))} samples to each of {count(found.get('prompts'))} test prompts"
    how = f"by {points(change)}"
    if change["low"] > 0:
        return f"After distillation the likelihood tracks the scorer's quality better, {how} ({base})."
    if change["high"] < 0:
        return f"After distillation the likelihood tracks the scorer's quality worse, {how} ({base})."
    return f"No change could be shown in how well the likelihood tracks the scorer's quality: {how} ({base})."


def p_value(p: float) -> str:
    """`p < 0.001`, `p = 0.034`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def points(difference: Estimate) -> str:
    """`+2.1 points (95 % interval −0.3 to 4.5)` of a difference of shares."""
    low, high = (f"{100 * difference[key]:.1f}" for key in ("low", "high"))
    return f"{100 * difference['value']:+.1f} points (95 % interval {low} to {high})".replace("-", "−")


def scorers(run: RunFiles) -> Sequence[Mapping[str, Any]]:
    """What each scorer beside the judge made of the outputs."""
    return (run.results or {}).get("scorers", ())


def _measure(key: str, estimate: Estimate) -> str:
    return f"{percent(estimate['value'])} %" if key == "pairwise_accuracy" else _plain(estimate)


def _measure_bounds(key: str, estimate: Estimate) -> str:
    bounds = interval(estimate) if key == "pairwise_accuracy" else _bounds(estimate)
    return f"{bounds} · n = {count(estimate['n'])}"


def _change(key: str, estimate: Estimate) -> str:
    if key == "pairwise_accuracy":
        return points(estimate)
    return f"{estimate['value']:+.2f} (95 % interval {_bounds(estimate, ' to ')})".replace("-", "−")


def _plain(estimate: Estimate) -> str:
    return f"{estimate['value']:.2f}".replace("-", "−")


def _bounds(estimate: Estimate, dash: str = "–") -> str:
    return f"{estimate['low']:.2f}{dash}{estimate['high']:.2f}".replace("-", "−")
