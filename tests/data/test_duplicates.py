import random

import numpy as np
import pytest

from plad.data.duplicates import PERMUTATIONS, _bands, groups, jaccard, shingles, signatures_of


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


def test_a_signature_is_the_least_hash_under_each_permutation():
    rng = np.random.RandomState(1)
    factors = rng.randint(0, 2**31, PERMUTATIONS, dtype=np.uint32).tolist()
    shifts = rng.randint(0, 2**32, PERMUTATIONS, dtype=np.uint32).tolist()

    def mixed(value: int) -> int:  # Appleby's 32-bit finaliser, in whole numbers
        value = (value ^ value >> 16) * 0x85EBCA6B % 2**32
        value = (value ^ value >> 13) * 0xC2B2AE35 % 2**32
        return value ^ value >> 16

    sets = [[7], [0, 1, 2**32 - 1], [1, 7]]
    wanted = [
        [min(((2 * a + 1) * mixed(value) + b) % 2**32 for value in some) for a, b in zip(factors, shifts, strict=True)]
        for some in sets
    ]
    assert signatures_of([np.array(some, np.uint32) for some in sets]).tolist() == wanted


def test_signatures_agree_as_often_as_sets_overlap():
    hashes = np.random.default_rng(0).integers(0, 2**32, 300, dtype=np.uint32)
    agree = []
    for start in range(200):  # 75 common of 100: 75 / 125
        one, other = signatures_of([hashes[start // 2 :][:100], hashes[start // 2 + 25 :][:100]])
        agree.append((one == other).mean())
    assert np.mean(agree) == pytest.approx(75 / 125, abs=0.03)
