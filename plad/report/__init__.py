"""The report of a run: one HTML page, its Markdown sibling, and the table that the terminal shows.

Reads the files of a run folder and nothing else; needs neither torch nor transformers.
"""

from plad.report.markdown import markdown_table
from plad.report.terminal import terminal_table
from plad.report.write import write_report

__all__ = ["markdown_table", "terminal_table", "write_report"]
