"""Named settings, in one table: what `plad init` writes out, and what `preset: paper` in a recipe stands for.

`paper` is PLaD as the paper has it (arXiv 2406.02886); of what its text does not say, docs/design.md tells the choice.
`recommended` is what comparisons favour (docs/which-method.md); `plad init` writes it unless another is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.errors import PladError, nearest

Settings = Mapping[str, Mapping[str, Any]]

PAPER: Settings = {
    "sample": {"temperature": 0.7, "samples": 1},
    "pairs": {"positives": "first", "negatives": "first"},
    "distill": {
        "method": {"type": "plad"},
        "loss": {"type": "ranking", "margin": 1.0, "anchor": 0.0},
        "epochs": 1,
        "learning_rate": 1e-4,
        "batch_size": 8,
        "lora": {"r": 8, "alpha": 32, "dropout": 0.1},
        "rounds": 1,
    },
}

ANCHOR = 3.0
"""λ of `recommended`. At matched compute the anchored hinge is beyond the bare one; λ from 1 to 10 differ by little."""

PRESETS: dict[str, Settings] = {
    "paper": PAPER,
    "recommended": {**PAPER, "distill": {**PAPER["distill"], "loss": {**PAPER["distill"]["loss"], "anchor": ANCHOR}}},
}


def preset(name: Any) -> Settings:
    """The settings of that name, by section.

    Raises:
        PladError: there are none.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise PladError(f"there is no preset {name!r}.{nearest(str(name), list(PRESETS))} Known: {', '.join(PRESETS)}.")
    return PRESETS[name]


def beneath(settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` where `own` says nothing. A mapping of another `type` has nothing in common with them."""
    if own.get("type", settings.get("type")) != settings.get("type"):
        return dict(own)
    found = {**settings, **own}
    for key in settings.keys() & own.keys():
        if isinstance(settings[key], Mapping) and isinstance(own[key], Mapping):
            found[key] = beneath(settings[key], own[key])
    return found
