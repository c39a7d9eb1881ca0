"""What the guard saw of each student as it learnt: against the start, in words, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.facts import Fact
from plad.report.numbers import percent, plain
from plad.report.read import RunFiles

DID = {
    "stop": "training ended there",
    "lower": "the learning rate was halved",
    "anchor": "the anchor was raised",
}


def guard_facts(run: RunFiles) -> list[Fact]:
    """A line a student: its numbers at the start and at the last look, and what went too far when."""
    return [
        Fact(run.label(name), _vitals(records[0], records[-1]), note=" · ".join(_told(run, name, records)))
        for name, records in run.guards.items()
        if len(records) > 1
    ]


def guard_verdict(run: RunFiles) -> str:
    """Whether the student that the run is about collapsed, in a sentence."""
    # Of rounds each has a guard of its own, and the student that was kept has none.
    names = [name for name in run.guards if name.partition("@")[0] == run.subject]
    records = run.guards[names[-1]] if names else ()
    if len(records) < 2:
        return ""
    who, looks = run.label(names[-1]), len(records) - 1
    seen = [record for record in records[1:] if record.get("signs")]
    if not seen:
        return f"No sign of collapse in {looks} looks at {who}: it kept its likelihood, its length and its endings."
    return f"{who} showed signs of collapse in {len(seen)} of {looks} looks: {'; '.join(seen[-1]['signs'])}."


def _vitals(start: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """Each number at the start and at the last look."""
    pairs = {
        "nats a token": (f"{start['chosen_logp']:.2f}", f"{last['chosen_logp']:.2f}"),
        "words": (plain(start["words"]), plain(last["words"])),
        "% repeated": (percent(start["repetition"]), percent(last["repetition"])),
        "% ended": (percent(start["ended"]), percent(last["ended"])),
    }
    return ", ".join(f"{one} → {two} {what}" for what, (one, two) in pairs.items()).replace("-", "−")


def _told(run: RunFiles, name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What went too far for the first time, what was done of it, and which step was kept."""
    seen = [record for record in records[1:] if record.get("signs")]
    told = [f"from step {seen[0]['step']}: {'; '.join(seen[0]['signs'])}"] if seen else ["no sign of collapse"]
    if seen and (did := DID.get(seen[0].get("did", ""))):
        told.append(did if len(seen) == 1 else f"{did}, {len(seen)} times")
    if (kept := _summary(run, name).get("kept_step")) is not None:
        rate = next((record["win_rate"] for record in records if record["step"] == kept), None)
        told.append(f"kept is step {kept}" + ("" if rate is None else f", {percent(rate)} % on the validation split"))
    return told


def _summary(run: RunFiles, name: str) -> Mapping[str, Any]:
    return (run.manifest.get("tasks", {}).get(f"distill/{name}") or {}).get("summary") or {}
