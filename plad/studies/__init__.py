"""Studies: several runs of one recipe, and one table or figure of what came of them. One file per table or figure."""

from plad.studies.ablations import make_ablations
from plad.studies.beyond import beyond
from plad.studies.case import case
from plad.studies.compute import compute
from plad.studies.families import families
from plad.studies.judges import judges
from plad.studies.lengths import lengths
from plad.studies.real_pairs import real_pairs
from plad.studies.scaling import scaling
from plad.studies.table1 import make_table1
from plad.studies.ts_gap import ts_gap
from plad.studies.tune import tune

FIGURES = {
    "real-pairs": real_pairs,
    "lengths": lengths,
    "scaling": scaling,
    "families": families,
    "judges": judges,
    "case": case,
    "ts-gap": ts_gap,
    "beyond": beyond,
    "compute": compute,
}

__all__ = ["FIGURES", "make_ablations", "make_table1", "tune"]
