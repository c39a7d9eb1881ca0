"""The ablations that the paper names: ranking or margin, length-normalised or not, pseudo pairs or ordered ones.

The first two are methods of one run; other pairs make another run, which shares all that comes before the pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe, changed
from plad.losses import RankingCalibration
from plad.progress import Display
from plad.studies.cells import Cell, run_cells
from plad.studies.table1 import check_seeds, collect, write_table

REAL = "PLaD on real pairs"


def make_ablations(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display) -> dict[str, Any]:
    """Run what is not done yet, and write ablations.json, .md, .csv and .html into the folder.

    The subject is PLaD as the recipe has it, by ranking calibration. Beside it stand margin calibration, ranking of
    summed log-likelihoods, and PLaD on pairs of which `pairs.scorer` orders each.

    Returns:
        As `make_table1`.

    Raises:
        PladError: no seed or one twice, pairs.scorer is null, or what a run raises.
    """
    check_seeds(seeds)
    pseudo, real = _recipes(recipe)
    cells = [
        Cell(f"{name}-{seed}", each.model_copy(update={"seed": seed}))
        for seed in seeds
        for name, each in (("seed", pseudo), ("real", real))
    ]
    runs = run_cells(cells, folder, display)
    table = {"seeds": list(seeds), **collect(runs[::2], {REAL: runs[1::2]})}
    write_table(table, folder / "ablations", f"Ablations: {recipe.task.source.type}", pseudo)
    return table


def _recipes(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """With pseudo-preference pairs, and with pairs in the order of a scorer."""
    main, loss = recipe.distill.method, recipe.distill.loss.model_dump(exclude={"type"})
    # A scale is of margins alone.
    ranked = {key: value for key, value in loss.items() if key in RankingCalibration.model_fields}
    # All are trained at the rate, batch and rank that the recipe gives to PLaD.
    plad = {"type": "plad"} | (main.model_dump(exclude={"type", "loss"}) if main.type == "plad" else {})
    none = {"sft": None, "seqkd": None}
    others = {
        "plad-margin": plad | {"loss": {"type": "margin", **loss}},
        "plad-sum": plad | {"loss": {"type": "ranking", **ranked, "normalise": "sum"}},
    }
    own = ["distill.loss.type=ranking", _setting("distill.method", plad)]
    pseudo = changed(recipe, [*own, _setting("baselines", none | others), "pairs.real_share=0"])
    return pseudo, changed(recipe, [*own, _setting("baselines", none), "pairs.real_share=1"])


def _setting(key: str, value: Any) -> str:
    return f"{key}={json.dumps(value)}"
