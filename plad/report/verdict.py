"""What the run showed, in one sentence that claims no more than its interval allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.report.numbers import Estimate, count, is_number, percent, with_interval

SUBJECTS = {
    "plad": "the PLaD student",
    "seqkd": "the SeqKD student",
    "sft": "the student of continued SFT",
}
NOT_YET = "This run has not been evaluated yet, so it shows no verdict."


def verdict(results: Mapping[str, Any] | None) -> str:
    """One sentence on the distilled student against the initial one."""
    row = subject_row(results or {})
    if row is None:
        return NOT_YET
    return sentence(who(row), row["against_initial"])


def who(row: Mapping[str, Any]) -> str:
    """How a sentence calls the student of a row of the results."""
    return SUBJECTS.get(row["name"], f"the student “{row.get('label') or row['name']}”")


def support(results: Mapping[str, Any] | None) -> list[str]:
    """Sentences that put the verdict in its place: against the reference, and what there was to learn."""
    told = (_against_reference(results), _gap(results)) if results else ()
    return [line for line in told if line]


def trust(results: Mapping[str, Any] | None) -> str:
    """How far the judge can be trusted, in its own numbers."""
    told = (_trust(results), _order(results)) if results else ()
    return " ".join(line for line in told if line)


def subject_row(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of the method that a run is about, where it was compared with the initial student.

    Where the results don't say which it is, it is the one that comes last.
    """
    rows = {row["name"]: row for row in results.get("rows", ()) if row["name"] not in ("teacher", "student")}
    compared = {name: row for name, row in rows.items() if is_number((row.get("against_initial") or {}).get("value"))}
    return compared.get(results.get("subject", "plad")) or (list(compared.values())[-1] if compared else None)


def sentence(who: str, estimate: Estimate) -> str:
    """Whether a student wins over the initial one, claiming no more than the interval allows."""
    share = f"{percent(estimate['value'])} % of {count(estimate.get('n'))} test prompts"
    low, high = estimate.get("low"), estimate.get("high")
    if not (is_number(low) and is_number(high)):
        return f"{_capital(who)} wins against the initial student on {share}; no interval was computed."
    bounds = f"(95 % interval {percent(low)} to {percent(high)} %)"
    if low > 0.5:
        return f"{_capital(who)} beats the initial student on {share} {bounds}."
    if high < 0.5:
        return f"{_capital(who)} does worse than the initial student: it wins on only {share} {bounds}."
    return f"No difference could be shown between {who} and the initial student: it wins on {share} {bounds}."


def _against_reference(results: Mapping[str, Any]) -> str | None:
    values = {row["name"]: (row.get("win_rate") or {}).get("value") for row in results.get("rows", ())}
    rates = {name: value for name, value in values.items() if is_number(value)}
    subject = subject_row(results)
    if subject is None or not {"student", subject["name"]} <= rates.keys():
        return None
    teacher = f" The teacher's is {percent(rates['teacher'])} %." if "teacher" in rates else ""
    before, after = percent(rates["student"]), percent(rates[subject["name"]])
    went = f"the student's win rate against the human reference went from {before} % to {after} %."
    return f"With {subject.get('label') or subject['name']}, {went}{teacher}"


def _gap(results: Mapping[str, Any]) -> str | None:
    estimate = results.get("teacher_student")
    if not estimate:
        return None
    return f"The teacher's output beats the initial student's on {with_interval(estimate)} of the prompts."


def _trust(results: Mapping[str, Any]) -> str | None:
    scorer = results.get("scorer") or {}
    told = {str(row["kind"]).replace("_", " "): f"{percent(row['value'])} %" for row in scorer.get("accuracy", ())}
    # The control is another rule's accuracy on the same pairs, not the judge's own.
    control = told.pop("length control", None)
    if not told:
        return None
    kinds = ", ".join(f"{share} ({kind})" for kind, share in told.items())
    beside = f"; a rule that looks at length alone on {control}" if control else ""
    return f"Wins are judged by {scorer.get('name', 'a scorer')}, itself right on {kinds} of held-out pairs{beside}."


def _order(results: Mapping[str, Any]) -> str | None:
    inconsistent = (results.get("scorer") or {}).get("inconsistent")
    if not inconsistent:
        return None
    return f"The order of the answers decided {with_interval(inconsistent)} of the judge's comparisons: ties."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
