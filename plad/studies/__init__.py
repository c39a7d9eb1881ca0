"""Studies: several runs of one recipe, and one table of what came of them. One file per table or figure."""

from plad.studies.ablations import make_ablations
from plad.studies.table1 import make_table1

__all__ = ["make_ablations", "make_table1"]
