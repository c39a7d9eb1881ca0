import random

import pytest

from plad.data.duplicates import PERMUTATIONS, _bands, groups, jaccard, shingles


def test_shingles_fold_case_space_and_numbers():
    assert shingles("Add 12  to\nX") == shingles("add 7 to x")
    assert len(shingles("a b c d")) == 2
    assert len(shingles("a b")) == len(shingles("")) == 1


def test_jaccard_by_hand():
    # 8 tokens give 6 runs of three; another last token changes one of them: 5 common of 7.
    assert jaccard(shingles("a b c d e f g h"), shingles("a b c d e f g i")) == pytest.approx(5 / 7)


def test_the_threshold_is_inclusive_and_exact():
    texts = ["a b c d e f g h", "a b c d e f g i", "quite another text of its own"]
    first, second, third = groups(texts, 5 / 7)
    assert first == second != third
    assert len(set(groups(texts, 5 / 7 + 1e-9))) == 3


def test_a_chain_is_one_group():
    words = [f"w{letter}" for letter in "abcdefghijklmnop"]
    chain = [" ".join(words[start : start + 12]) for start in range(3)]  # 10 runs each, 9 common with the next
    assert jaccard(shingles(chain[0]), shingles(chain[2])) == pytest.approx(8 / 12)
    assert len(set(groups([chain[0], chain[2]], 0.7))) == 2
    assert len(set(groups(chain, 0.7))) == 1


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_bands_miss_at_most_one_pair_in_a_thousand(threshold):
    bands, rows = _bands(threshold)
    assert bands * rows <= PERMUTATIONS
    assert (1 - threshold**rows) ** bands <= (1e-3 if threshold > 0.05 else 2e-3)


def test_groups_equal_those_of_comparing_all_pairs():
    rng = random.Random(0)
    texts = []
    for _ in range(60):
        words = [rng.choice("abcdefgh") * 3 for _ in range(20)]
        texts += [" ".join(words), " ".join([*words[: rng.randint(0, 20)], "end"])]
    sets = [shingles(text) for text in texts]
    expected = list(range(len(texts)))
    for _ in texts:  # propagate the lowest number along every edge until nothing changes
        for i, a in enumerate(sets):
            for j, b in enumerate(sets):
                if jaccard(a, b) >= 0.6:
                    expected[i] = expected[j] = min(expected[i], expected[j])
        if expected == [expected[number] for number in expected]:
            break
    found = groups(texts, 0.6)
    assert len(set(found)) < len(texts)
    same = [(x == y) for x in found for y in found]
    assert same == [(x == y) for x in expected for y in expected]
