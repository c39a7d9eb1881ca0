"""CSV that a spreadsheet shows and does not compute."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plad.report.sheet import FORMULA, csv_text


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-2+3", "@SUM(A1)", '=HYPERLINK("http://x")', "\t=1", "\r=1", " =1", "\n=1", "＝1+1"]
)
def test_a_formula_becomes_text(cell: str) -> None:
    assert read(csv_text([[cell]])) == [[f"'{cell}"]]


def test_numbers_and_other_texts_stay() -> None:
    row = ["plad", -0.5, 3, None, "a=b", "1-2", "", "'quoted'"]
    assert read(csv_text([row])) == [["plad", "-0.5", "3", "", "a=b", "1-2", "", "'quoted'"]]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_every_text_comes_back_and_none_is_a_formula(cells: list[str]) -> None:
    [row] = read(csv_text([cells])) or [[]]
    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell.lstrip().startswith(FORMULA) for cell in row)
