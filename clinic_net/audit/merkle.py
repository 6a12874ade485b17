"""The Merkle tree of RFC 6962 §2.1: roots, and proofs that one tree is the beginning of another.

Nothing here knows where hashes come from: a tree is read through ``Subtree``, which gives the root of a whole subtree.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""``(height, place)`` → the root of leaves ``place * 2**height`` to ``(place + 1) * 2**height - 1``, all there."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (``k`` of the RFC)."""
    return 1 << (size - 1).bit_length() - 1


def whole_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield height and place of the whole subtrees of which leaves ``begin`` to ``end - 1`` consist, left to right.

    ``begin`` must be a multiple of every subtree's size there is, as it is wherever the RFC divides a tree.
    """
    while begin < end:
        size = 1 << (end - begin).bit_length() - 1
        yield size.bit_length() - 1, begin // size
        begin += size


def _joined(hashes: Sequence[bytes]) -> bytes:
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def _range_root(begin: int, end: int, subtree: Subtree) -> bytes:
    return _joined([subtree(height, place) for height, place in whole_subtrees(begin, end)])


def root(size: int, subtree: Subtree) -> bytes:
    """Return the root of the first ``size`` leaves."""
    return _range_root(0, size, subtree) if size else EMPTY


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Return, in the order of a proof, the ranges of leaves whose roots show that ``old`` leaves begin ``new``.

    RFC 6962 §2.1.2. Empty where ``old`` is 0 or ``new``.
    """
    if not 0 <= old <= new:
        raise ValueError("the older tree is the smaller one")
    found: list[tuple[int, int]] = []
    begin, end, known = 0, new, True
    if old in (0, new):
        return found
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((begin, middle))
            begin, known = middle, False
    if not known:
        found.append((begin, end))
    return found[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return the proof that the first ``old`` of ``new`` leaves were the tree of that size (RFC 6962 §2.1.2)."""
    return [_range_root(begin, end, subtree) for begin, end in consistency_ranges(old, new)]


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the tree of size ``old`` is the beginning of that of size ``new`` (RFC 9162
    §2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return old_root == EMPTY and not proof
    if old == new:
        return old_root == new_root and not proof
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_again = new_again = path[0]
    for given in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_again, new_again = node_hash(given, old_again), node_hash(given, new_again)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            new_again = node_hash(new_again, given)
        first, last = first >> 1, last >> 1
    return last == 0 and old_again == old_root and new_again == new_root


class Growing:
    """The root of a tree that grows leaf by leaf, in memory that grows with its height."""

    def __init__(self, roots: Iterable[tuple[int, bytes]] = ()) -> None:
        """Begin with whole subtrees (height, root), left to right, or with nothing."""
        self._roots = list(roots)
        self.size = sum(1 << height for height, _ in self._roots)

    def add(self, leaf: bytes) -> None:
        height, made = 0, leaf_hash(leaf)
        while self._roots and self._roots[-1][0] == height:
            made = node_hash(self._roots.pop()[1], made)
            height += 1
        self._roots.append((height, made))
        self.size += 1

    @property
    def root(self) -> bytes:
        return _joined([root for _, root in self._roots]) if self._roots else EMPTY
