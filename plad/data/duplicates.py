"""Near-duplicates: groups of texts whose sets of word shingles overlap.

Candidates come from MinHash with locality-sensitive hashing (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of
Massive Datasets, chapter 3) and are verified by their exact Jaccard similarity, so the threshold is exact for
every pair that is found; a pair just at the threshold is missed with a probability of at most 1 in 1,000.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from plad.records import together

PERMUTATIONS = 128
SHINGLE_WORDS = 3
_MISSED = 1e-3
_AT_ONCE = 1024
_HELD = 4096
_REMEMBERED = 250_000
_ODD = np.uint64(0x9E3779B97F4A7C15)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+")

Shingles = frozenset[int]
Hashes = NDArray[np.uint32]


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


def groups(texts: Iterable[str], threshold: float, folder: Path | None = None) -> NDArray[np.int64]:
    """For each text the number of its group: equal for texts linked by a chain of pairs at the threshold or above.

    Groups depend on the set of texts only, as opposed to their order. What is known of the texts is in files meanwhile,
    inside `folder`; of each some 100 bytes are in memory.
    """
    with TemporaryDirectory(dir=folder, prefix=".groups-") as scratch:
        sets = _Sets(Path(scratch, "shingles"), texts)
        firsts, parents = sets.firsts()
        bands = _banded(sets.read(firsts), _bands(threshold), Path(scratch))
        links = _Links(sets, parents, threshold)
        for place, other in (pair for band in bands for alike in _candidates(band) for pair in combinations(alike, 2)):
            links.join(firsts[place], firsts[other])
    return np.fromiter(map(links.root, range(len(parents))), np.int64, len(parents))


class _Sets:
    """The shingles of each text, sorted, in a file."""

    def __init__(self, path: Path, texts: Iterable[str]):
        self.path, self._starts, self._digests = path, array("q", [0]), array("Q")
        with path.open("wb") as file:
            for text in texts:
                some = np.fromiter(sorted(shingles(text)), np.uint32).tobytes()
                file.write(some)
                self._starts.append(self._starts[-1] + len(some))
                self._digests.append(int.from_bytes(hashlib.blake2b(some, digest_size=8).digest()))

    def __getitem__(self, index: int) -> Shingles:
        [some] = self.read([index])
        return frozenset(some.tolist())

    def read(self, indices: Iterable[int]) -> Iterator[Hashes]:
        """The shingles of some texts."""
        with self.path.open("rb") as file:
            for index in indices:
                file.seek(self._starts[index])
                yield np.frombuffer(file.read(self._starts[index + 1] - self._starts[index]), np.uint32)

    def firsts(self) -> tuple[array[int], array[int]]:
        """The texts whose set no earlier one has, and of each text the earliest that has its set.

        Texts that differ in numbers or case alone have equal sets: one of them stands for all in the index.
        """
        _, first, inverse = np.unique(np.frombuffer(self._digests, np.uint64), return_index=True, return_inverse=True)
        return array("q", np.sort(first).tobytes()), array("q", first[inverse].tobytes())


def _banded(sets: Iterable[Hashes], bands: tuple[int, int], folder: Path) -> Iterator[NDArray[np.uint64]]:
    """Of each band in turn a number a set: equal where the set's signatures are. Kept in a file a band until then."""
    from datasketch import MinHash

    count, rows = bands
    files = [folder / f"band-{number}" for number in range(count)]
    members = (some.tolist() for some in sets)
    hashes = MinHash.generator(members, num_perm=PERMUTATIONS, hashfunc=int)  # shingles are hashes already
    with ExitStack() as stack:
        opened = [stack.enter_context(file.open("wb")) for file in files]
        for some in together(hashes, _AT_ONCE):
            signatures = np.stack([one.hashvalues for one in some])[:, : count * rows].astype(np.uint64)
            for file, band in zip(opened, _mixed(signatures.reshape(len(some), count, rows)).T, strict=True):
                file.write(band.tobytes())
    for path in files:
        yield np.fromfile(path, np.uint64)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number of the last dimension's. Two that are equal by chance are compared in vain."""
    found = np.zeros(values.shape[:-1], np.uint64)
    for row in range(values.shape[-1]):
        found = (found ^ values[..., row]) * _ODD
        found ^= found >> np.uint64(29)
    return found


class _Links:
    """Groups as they grow: of each set the number of an earlier one that it is linked to, or its own."""

    def __init__(self, sets: _Sets, parents: array[int], threshold: float):
        self.parents, self.threshold = parents, threshold
        self._shingles, self._apart = lru_cache(_HELD)(sets.__getitem__), set[tuple[int, int]]()

    def root(self, index: int) -> int:
        """The number of the group."""
        parents = self.parents
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def join(self, one: int, other: int) -> None:
        """Make two sets one group if they are similar enough. Two that are not mostly meet again in another band."""
        mine, theirs = self.root(one), self.root(other)
        if mine == theirs or (one, other) in self._apart:
            return
        if jaccard(self._shingles(one), self._shingles(other)) >= self.threshold:
            self.parents[max(mine, theirs)] = min(mine, theirs)
        else:
            if len(self._apart) >= _REMEMBERED:
                self._apart.clear()
            self._apart.add((one, other))


def _candidates(band: NDArray[np.uint64]) -> Iterator[list[int]]:
    """Places that have the same number, two or more."""
    order = np.argsort(band, kind="stable")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(band[order])) + 1, [len(order)]])
    several = np.flatnonzero(np.diff(bounds) > 1)
    return (order[bounds[k] : bounds[k + 1]].tolist() for k in several.tolist())


def _bands(threshold: float) -> tuple[int, int]:
    """Number and height of the bands: the tallest that miss a pair at the threshold at most once in 1,000."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= _MISSED:
            return bands, rows
    return PERMUTATIONS, 1
