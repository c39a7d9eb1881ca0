"""Which pairs teach a difference, by words counted by hand."""

from __future__ import annotations

import pytest

from plad.data import likeness
from plad.records import PreferencePair


@pytest.mark.parametrize(
    ("chosen", "rejected", "kind"),
    [
        ("Return the sum of all rows.", "Open a file.", "informative"),
        ("Return the sum", "Return the sum of all rows", "prefix"),
        ("return the  SUM of rows", "Return the sum", "prefix"),  # neither case nor white space tells them apart
        # 4 of 5 words in order on either side: 2·4/10 = 0.8
        ("Return the sum of rows", "Return the sum of columns", "near_duplicate"),
        # 3 of 4: 0.75
        ("Return the sum here", "Return the sum there", "informative"),
        # The same words in another order: at most 1 of 4 in order
        ("one two three four", "four three two one", "informative"),
    ],
)
def test_by_words(chosen: str, rejected: str, kind: str) -> None:
    pair = PreferencePair("1", "q", chosen, rejected)
    assert likeness(pair) == likeness(pair.swap()) == kind
