"""Near-duplicates: groups of texts whose sets of word shingles overlap.

Candidates come from MinHash with locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of
Massive Datasets, chapter 3) and are verified by their exact Jaccard similarity, so the threshold is exact for
every pair that is found; a pair just at the threshold is missed with a probability of at most 1 in 1,000.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

PERMUTATIONS = 128
SHINGLE_WORDS = 3
_MISSED = 1e-3
_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+")

Shingles = frozenset[int]


def shingles(text: str) -> Shingles:
    """The hashes (32 bits) of each run of three tokens of the text in lower case, every number being `0`."""
    tokens = _TOKEN.findall(_NUMBER.sub("0", text.lower()))
    runs = zip(*(tokens[start:] for start in range(SHINGLE_WORDS)), strict=False)
    joined = [" ".join(run) for run in runs] or [" ".join(tokens)]
    return frozenset(zlib.crc32(run.encode()) for run in joined)


def jaccard(a: Shingles, b: Shingles) -> float:
    """The share of common shingles among all, from 0 to 1."""
    common = len(a & b)
    return common / (len(a) + len(b) - common)


def groups(texts: Sequence[str], threshold: float) -> list[int]:
    """For each text the number of its group: equal for texts linked by a chain of pairs at the threshold or above.

    Groups depend on the set of texts only, as opposed to their order.
    """
    sets = [shingles(text) for text in texts]
    # Texts that differ in numbers or case alone have equal sets: one of them stands for all in the index.
    first: dict[Shingles, int] = {}
    parents = [first.setdefault(one, index) for index, one in enumerate(sets)]
    _link(list(first.values()), sets, parents, threshold)
    return [_root(parents, index) for index in range(len(parents))]


def _link(indices: list[int], sets: Sequence[Shingles], parents: list[int], threshold: float) -> None:
    """Join the groups of every verified pair of candidates."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(threshold))
    members = (list(sets[one]) for one in indices)
    hashes = MinHash.generator(members, num_perm=PERMUTATIONS, hashfunc=int)  # shingles are hashes already
    for one, signature in zip(indices, hashes, strict=True):
        for other in index.query(signature):
            mine, theirs = _root(parents, one), _root(parents, other)
            if mine != theirs and jaccard(sets[one], sets[other]) >= threshold:
                parents[max(mine, theirs)] = min(mine, theirs)
        index.insert(one, signature, check_duplication=False)


def _bands(threshold: float) -> tuple[int, int]:
    """Number and height of the bands: the tallest that miss a pair at the threshold at most once in 1,000."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= _MISSED:
            return bands, rows
    return PERMUTATIONS, 1


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
