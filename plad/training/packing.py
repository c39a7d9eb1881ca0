"""From a step's examples to micro-batches of a bounded number of tokens, with as little padding as we can.

A device holds one micro-batch at a time. How the examples of a step are divided changes no step: the trainer divides
every loss by the units of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plad.training.layout import DecoderLayout, EncoderDecoderLayout, Example

Layout = DecoderLayout | EncoderDecoderLayout


def micro_batches(examples: Sequence[Example], layout: Layout, tokens: int | None) -> list[list[int]]:
    """Places of the examples of each micro-batch, each place once; the widest first, to fail early if it must.

    Args:
        tokens: the most that a micro-batch may hold, padding included; None puts everything into one. An example that
            is larger by itself gets a micro-batch of its own.
    """
    if tokens is None:
        return [list(range(len(examples)))] if examples else []
    order = sorted(range(len(examples)), key=lambda place: (-examples[place].tokens, place))
    if isinstance(layout, DecoderLayout) and layout.share_prefix:
        found = _packed([(place, examples[place].tokens) for place in order], tokens)
    else:
        found = _padded(order, examples, layout, tokens)
    return [sorted(places) for places in found]


@dataclass
class _Bin:
    """A micro-batch of rows as wide as its first example."""

    width: int
    rows: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def takes(self, place: int, width: int, tokens: int) -> bool:
        """Put the example into a row with room, or into a new row, if there is room for one."""
        row = next((row for row, used in enumerate(self.rows) if used + width <= self.width), None)
        if row is None:
            if self.rows and (len(self.rows) + 1) * self.width > tokens:
                return False
            self.rows.append(0)
        self.rows[-1 if row is None else row] += width
        self.places.append(place)
        return True


def _packed(widths: Sequence[tuple[int, int]], tokens: int) -> list[list[int]]:
    """First fit, longest first (Johnson 1973), as the layout packs a batch's rows."""
    bins: list[_Bin] = []
    for place, width in widths:
        if not any(each.takes(place, width, tokens) for each in bins):
            bins.append(_Bin(width))
            bins[-1].takes(place, width, tokens)
    return [each.places for each in bins]


def _padded(order: Sequence[int], examples: Sequence[Example], layout: Layout, tokens: int) -> list[list[int]]:
    """Neighbours in length together, while the rectangle that they are padded to is within the limit."""
    found: list[list[int]] = []
    for place in order:
        if found and _rectangle([examples[k] for k in (*found[-1], place)], layout) <= tokens:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def _rectangle(examples: Sequence[Example], layout: Layout) -> int:
    """Tokens that the layout lays out, padding included, where no prompt is shared."""
    prompt = max(len(e.prompt) for e in examples)
    response = max(len(y) for e in examples for y in e.responses)
    rows = sum(len(e.responses) for e in examples)
    if isinstance(layout, EncoderDecoderLayout):
        return len(examples) * prompt + rows * response
    return rows * max(len(e.prompt) + len(y) for e in examples for y in e.responses)
