"""TL;DR: a forum post and the summary its author wrote (Völske et al. 2017; Stiennon et al., arXiv 2009.01325)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from plad.data.source import Source, example, nonempty
from plad.data.table import Table, cell, text_cell
from plad.records import Prompt


class TLDR(Source):
    """Post → summary, from the hub or from local files (`path`) with the same columns.

    Two layouts are told apart by their columns: `prompt`, `completion` (`trl-lib/tldr`), and `subreddit`, `title`,
    `post`, `summary` (the filtered set of Stiennon et al.), which is rendered to the text of the first.
    """

    type: Literal["tldr"] = "tldr"
    path: str | None = None
    hub: str = "trl-lib/tldr"
    split: str = "train"
    revision: str | None = None
    streaming: bool = False

    def prompts(self) -> Iterator[Prompt]:
        """Yield one example a post, in the order of the rows.

        Raises:
            PladError: the data can't be loaded, lacks a column, or holds no example.
        """
        origin = {"path": self.path} if self.path else self.model_dump(include={"hub", "revision", "streaming"})
        rows = Table(**origin, split=self.split).rows()
        problem = f"{self.path or self.hub} holds no example, but a task needs some. Check `path` or `split`."
        yield from nonempty((_example(place, row) for place, row in rows), problem)


def _example(place: str, row: Mapping[str, Any]) -> Prompt:
    columns = ("subreddit", "title", "post", "summary") if "post" in row else ("prompt", "completion")
    *parts, reference = (text_cell(place, name, cell(place, row, name)) for name in columns)
    return example(_render(*parts) if len(parts) == 3 else parts[0], reference.strip())


def _render(subreddit: str, title: str, post: str) -> str:
    return f"SUBREDDIT: r/{subreddit}\n\nTITLE: {title}\n\nPOST: {post}\n\nTL;DR:"
