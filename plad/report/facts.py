"""The plain tables of the report: pairs, data, versions. Lists of (name, value) rows, ready to print."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from plad.records import PreferencePair
from plad.report.numbers import count, interval, is_number, percent, plain
from plad.report.read import RunFiles


@dataclass(frozen=True)
class Fact:
    """One row: a name, its value, and how long its bar is (a share of the longest), where bars make sense."""

    name: str
    value: str
    bar: float | None = None
    note: str = ""


def pair_facts(run: RunFiles) -> list[Fact]:
    """How many pairs there are and what they look like."""
    counts = run.pair_counts or {}
    facts = [Fact("Prompts", count(counts["prompts"]))] if "prompts" in counts else []
    made = counts.get("made", len(run.pairs) or None)
    if made is not None:
        facts.append(Fact("Pairs made", count(made), note=_share(made, counts.get("prompts"))))
    return facts + (_looks(run.pairs) if run.pairs else [])


def drop_facts(run: RunFiles) -> list[Fact]:
    """Why prompts gave no pair, most frequent reason first."""
    dropped = (run.pair_counts or {}).get("dropped", {})
    ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    return _bars([(_words(reason), number, count(number)) for reason, number in ordered])


def data_facts(run: RunFiles) -> list[Fact]:
    """What was read, what was left out, and how the rest was split."""
    data = run.data or {}
    names = {
        "read": "Read",
        "exact_duplicates": "Exact duplicates dropped",
        "near_duplicates": "Near duplicates dropped",
    }
    facts = [Fact(label, count(data[key])) for key, label in names.items() if key in data]
    return facts + [Fact(f"Split: {_words(name)}", count(n)) for name, n in data.get("splits", {}).items()]


def asked(summary: Mapping[str, Any]) -> list[str]:
    """What is to be said of the answers of one model beside their length."""
    words = {"prompt_tokens": "tokens of prompts", "reused": "kept from before", "truncated": "cut off"}
    words |= {"failed": "set aside"}
    told = [f"{count(summary[key])} {what}" for key, what in words.items() if summary.get(key)]
    if paid := summary.get("paid"):
        told.append(f"{count(paid['requests'])} paid requests")
    return told


def kept(summary: Mapping[str, Any]) -> list[str]:
    """How much of the teacher's distributions is on disk, and how much of the probability that is."""
    if not is_number(summary.get("least_kept")):
        return []
    most, vocabulary = summary.get("top_k") or summary["vocabulary"], count(summary["vocabulary"])
    shares = f"{percent(summary['kept'])} % of the probability, at least {percent(summary['least_kept'])} %"
    return [f"{count(summary['rows'])} positions", f"{count(most)} of {vocabulary} tokens: {shares}"]


def scorer_facts(run: RunFiles) -> list[Fact]:
    """The scorer's accuracy on held-out pairs whose better side is known."""
    rows = ((run.results or {}).get("scorer") or {}).get("accuracy", ())
    return [
        Fact(_words(row["kind"]), f"{percent(row['value'])} %", note=f"{interval(row)} · n = {count(row.get('n'))}")
        for row in rows
    ]


def version_facts(run: RunFiles) -> list[Fact]:
    """What this run was made with."""
    manifest = run.manifest
    facts = [Fact(key, str(manifest[key])) for key in ("plad", "created", "seed") if key in manifest]
    facts += [Fact("git", value) for value in _git(manifest.get("git"))]
    return facts + [Fact(name, str(value)) for name, value in sorted(manifest.get("versions", {}).items())]


def _share(made: int, prompts: int | None) -> str:
    """Of how many prompts, or how many to each."""
    if not prompts:
        return ""
    return f"{plain(made / prompts)} a prompt" if made > prompts else f"{percent(made / prompts)} % of the prompts"


def _looks(pairs: Sequence[PreferencePair]) -> list[Fact]:
    """Of the texts and of their scores, in one pass over the file that they may be in."""
    chosen, rejected, longer, gaps = 0, 0, 0, array("d")
    for pair in pairs:
        ours, theirs = len(pair.chosen.split()), len(pair.rejected.split())
        chosen, rejected, longer = chosen + ours, rejected + theirs, longer + (ours > theirs)
        if is_number(pair.chosen_score) and is_number(pair.rejected_score):
            gaps.append(pair.chosen_score - pair.rejected_score)
    return [
        Fact("Words, preferred (mean)", plain(chosen / len(pairs))),
        Fact("Words, rejected (mean)", plain(rejected / len(pairs))),
        Fact("Preferred one is longer", f"{percent(longer / len(pairs))} %"),
        *_of_gaps(gaps),
    ]


def _of_gaps(gaps: Sequence[float]) -> list[Fact]:
    if not gaps:
        return []
    agree = fmean(gap > 0 for gap in gaps)
    return [
        Fact("Score gap (mean)", f"{fmean(gaps):.3f}"),
        Fact("Scorer agrees with the preference", f"{percent(agree)} %", note=f"of {count(len(gaps))} scored pairs"),
    ]


def _bars(rows: Sequence[tuple[str, float, str]]) -> list[Fact]:
    longest = max((number for _, number, _ in rows), default=0) or 1
    return [Fact(name, text, bar=round(number / longest, 4)) for name, number, text in rows]


def _git(git: Any) -> list[str]:
    if isinstance(git, Mapping):
        return [", ".join(f"{key} {value}" for key, value in git.items())]
    return [str(git)] if git else []


def _words(name: str) -> str:
    return name.replace("_", " ")
