"""Where tokens go: rows, positions, branches, and where each response token is predicted."""

from __future__ import annotations

import pytest
import torch

from plad.training.layout import NO_EXAMPLE, DecoderLayout, EncoderDecoderLayout, Example

PAD = 99


def test_the_picture_of_the_module() -> None:
    """Two examples in one row, as the drawing at the head of layout.py has them."""
    first = Example([10, 11, 12], [[20, 21], [30, 31, 32]])
    second = Example([40], [[41], [42, 43]])
    wide = Example(list(range(50, 60)), [[61], [62]])  # 12 tokens: as wide as the two others together
    batch = DecoderLayout(PAD)([first, second, wide])
    assert batch["input_ids"].tolist() == [
        [*range(50, 60), 61, 62],
        [10, 11, 12, 20, 21, 30, 31, 32, 40, 41, 42, 43],
    ]
    assert batch["position_ids"][1].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 0, 1, 1, 2]
    assert batch["example"][1].tolist() == [0] * 8 + [1] * 4
    assert batch["branch"][1].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 0, 1, 2, 2]
    assert batch["lengths"].tolist() == [[2, 3], [1, 2], [1, 1]]
    # Each second response's first token is predicted by the prompt's last, at columns 2, 8 and 9.
    where = {
        int(token): (int(row), int(col))
        for token, row, col in zip(batch["target"], batch["predict_row"], batch["predict_col"], strict=True)
    }
    assert where == {
        20: (1, 2),
        21: (1, 3),
        30: (1, 2),
        31: (1, 5),
        32: (1, 6),
        41: (1, 8),
        42: (1, 8),
        43: (1, 10),
        61: (0, 9),
        62: (0, 9),
    }


def test_packing_never_widens_and_marks_its_padding() -> None:
    examples = [Example([1] * n, [[2]]) for n in (1, 6, 3)]
    batch = DecoderLayout(PAD)(examples)
    assert batch["input_ids"].shape == (2, 7)  # 7 | 4 + 2 and one of padding
    assert batch["example"].tolist() == [[1] * 7, [2] * 4 + [0] * 2 + [NO_EXAMPLE]]
    assert ((batch["input_ids"] == PAD) == (batch["example"] == NO_EXAMPLE)).all()


def test_packing_puts_what_does_not_fit_into_a_row_of_its_own() -> None:
    batch = DecoderLayout(PAD)([Example([1] * 3, [[2]]), Example([1] * 3, [[2]])])
    assert batch["input_ids"].shape == (2, 4)


def test_plain_layout_repeats_the_prompt_and_masks_by_position() -> None:
    batch = DecoderLayout(pad_id=5, share_prefix=False)([Example([5, 6], [[7, 5], [8]])])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 5], [5, 6, 8, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]  # the real 5s are not padding
    assert "branch" not in batch


def test_encoder_reads_a_prompt_once_and_the_decoder_is_shifted_by_its_start() -> None:
    batch = EncoderDecoderLayout(PAD, start_id=3)([Example([1, 2], [[7, 8], [9]]), Example([4], [[6], [5, 8]])])
    assert batch["input_ids"].tolist() == [[1, 2], [4, PAD]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["decoder_input_ids"].tolist() == [[3, 7], [3, PAD], [3, PAD], [3, 5]]
    assert batch["encoder_row"].tolist() == [0, 0, 1, 1]
    assert batch["target"].tolist() == [7, 8, 9, 6, 5, 8]


@pytest.mark.parametrize(
    "layout", [DecoderLayout(PAD), DecoderLayout(PAD, share_prefix=False), EncoderDecoderLayout(PAD, 3)]
)
def test_targets_are_exactly_the_response_tokens_each_in_its_slot(layout: object) -> None:
    examples = [Example([1, 2, 1], [[3, 1, 1], [4]]), Example([1], [[1], [5, 1]])]
    batch = layout(examples)  # type: ignore[operator]
    flat = torch.full((2 * 2 * 3,), -1).index_put((batch["slot"],), batch["target"])
    assert flat.view(2, 2, 3).tolist() == [[[3, 1, 1], [4, -1, -1]], [[1, -1, -1], [5, 1, -1]]]
    assert batch["lengths"].tolist() == [[3, 1], [1, 2]]


def test_scores_travel_only_if_every_example_has_them() -> None:
    scored, unscored = Example([1], [[2], [3]], [0.5, 0.25]), Example([1], [[2], [3]])
    assert DecoderLayout(PAD)([scored, scored])["scores"].tolist() == [[0.5, 0.25]] * 2
    assert "scores" not in DecoderLayout(PAD)([scored, unscored])


def test_tokens_counts_the_prompt_once() -> None:
    assert Example([1, 2, 3], [[4], [5, 6]]).tokens == 6
