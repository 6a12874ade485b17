"""The Merkle tree over the chain, in the database: its leaves are the seals' hashes.

Every whole subtree of 256, 65,536, … leaves keeps its root (``audit_node``), so that a root or a proof reads some
hundred rows, whatever the size, and leaves may go when their time is over.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic_net.audit.merkle import Subtree, consistency_ranges, leaf_hash, node_hash, whole_subtrees
from clinic_net.audit.merkle import root as root_of

WIDTH_BITS = 8
WIDTH = 1 << WIDTH_BITS

_LEAVES = text("select seq, hash from audit_seal where seq > :begin and seq <= :end order by seq")
_NODES = text(
    "select place, hash from audit_node where level = :level and place >= :begin and place < :end order by place"
)
_KEEP = text(
    "insert into audit_node (level, place, hash) values (:level, :place, :hash) on conflict (level, place) do nothing"
)


class BrokenTree(Exception):
    """Leaves or roots of the tree are missing from the database."""


def _folded(hashes: list[bytes]) -> bytes:
    """Return the root over a power of two of roots."""
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


async def subtree(connection: AsyncConnection, height: int, place: int) -> bytes:
    """Return the root of a whole subtree, from the nearest level that is kept."""
    level, rest = divmod(height, WIDTH_BITS)
    count = 1 << rest
    begin, end = place * count, (place + 1) * count
    if level:
        rows = await connection.execute(_NODES, {"level": level, "begin": begin, "end": end})
        hashes = [bytes(row.hash) for row in rows]
    else:
        rows = await connection.execute(_LEAVES, {"begin": begin, "end": end})
        hashes = [leaf_hash(bytes(row.hash)) for row in rows]
    if len(hashes) != count:
        raise BrokenTree
    return _folded(hashes)


async def _reader(connection: AsyncConnection, *ranges: tuple[int, int]) -> Subtree:
    """Read what roots of these ranges of leaves need."""
    wanted = [(height, place) for begin, end in ranges for height, place in whole_subtrees(begin, end)]
    known = {(height, place): await subtree(connection, height, place) for height, place in wanted}
    return lambda height, place: known[height, place]


async def root(connection: AsyncConnection, size: int) -> bytes:
    """Return the root of the first ``size`` leaves.

    Raises:
        BrokenTree: the database does not hold what it needs.
    """
    return root_of(size, await _reader(connection, (0, size)))


async def proof(connection: AsyncConnection, old: int, new: int) -> list[bytes]:
    """Return the proof that ``new`` leaves begin with the first ``old`` (RFC 6962 §2.1.2).

    Raises:
        BrokenTree: the database does not hold what it needs.
    """
    found = []
    for begin, end in consistency_ranges(old, new):
        read = await _reader(connection, (begin, end))
        hashes = [read(height, place) for height, place in whole_subtrees(begin, end)]
        joined = hashes[-1]
        for left in reversed(hashes[:-1]):
            joined = node_hash(left, joined)
        found.append(joined)
    return found


async def grow(connection: AsyncConnection, old: int, new: int) -> None:
    """Keep the roots of the subtrees that have become whole between sizes ``old`` and ``new``."""
    level, width = 1, WIDTH
    while old // width != new // width:
        for place in range(old // width, new // width):
            made = await _subtree_from_below(connection, level, place)
            await connection.execute(_KEEP, {"level": level, "place": place, "hash": made})
        level, width = level + 1, width * WIDTH


async def _subtree_from_below(connection: AsyncConnection, level: int, place: int) -> bytes:
    begin, end = place * WIDTH, (place + 1) * WIDTH
    if level == 1:
        rows = await connection.execute(_LEAVES, {"begin": begin, "end": end})
        hashes = [leaf_hash(bytes(row.hash)) for row in rows]
    else:
        rows = await connection.execute(_NODES, {"level": level - 1, "begin": begin, "end": end})
        hashes = [bytes(row.hash) for row in rows]
    if len(hashes) != WIDTH:
        raise BrokenTree
    return _folded(hashes)
