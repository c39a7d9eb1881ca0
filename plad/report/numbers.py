"""How numbers are written: shares as percent with one decimal, and an interval with every estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

Estimate = Mapping[str, Any]  # {"value": 0.31, "low": 0.28, "high": 0.34, "n": 500}
MISSING = "–"


def percent(share: float) -> str:
    """`61.2` for 0.612; the sign belongs to the sentence or to the table's head."""
    return plain(100 * share)


def plain(value: float) -> str:
    """One decimal, and no minus before a zero."""
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text


def interval(estimate: Estimate, *, share: bool = True) -> str:
    """`57.0–65.4`, or nothing where the estimate has no bounds."""
    low, high = estimate.get("low"), estimate.get("high")
    if not (is_number(low) and is_number(high)):
        return ""
    write = percent if share else plain
    return f"{write(low)}–{write(high)}"


def with_interval(estimate: Estimate) -> str:
    """`61.2 % (95 % interval 57.0 to 65.4 %)`."""
    bounds = interval(estimate).replace("–", " to ")
    return f"{percent(estimate['value'])} %" + (f" (95 % interval {bounds} %)" if bounds else "")


def count(number: Any) -> str:
    """`12,345`."""
    return f"{number:,}" if is_number(number) else MISSING


def parameters(number: Any) -> str:
    """`6.1 M`, `1.3 B`."""
    if not is_number(number):
        return MISSING
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        # 999,950 and more would be written 1000.0 k.
        if number >= 0.99995 * size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def duration(seconds: Any) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`."""
    if not is_number(seconds):
        return MISSING
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` can be drawn or printed: a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
