"""Train the dictionary with which hub and stations compress what they say to each other.

``python -m tools.dictionary --train`` writes the next number into ``clinic_net/protocol/sync/dictionaries``; without
it, the newest one is measured. A dictionary that was released stays for ever (stations are months behind) and is never
changed: a better one is a new number, shipped with hub and agents, and used by whoever has it.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

from clinic_net.bench import framed
from clinic_net.bench.communes import Commune
from clinic_net.protocol.sync import codec

FOLDER = Path(__file__).parents[1] / "clinic_net" / "protocol" / "sync" / "dictionaries"
SIZE = 112 * 1024
"""Bytes; what a larger one saves is within the noise."""
SEEDS = range(9000, 9024)
"""Communes to learn from; the benchmark measures others (``MEASURED``)."""
MEASURED = (1, 2, 3)
_PEOPLE, _SAVED = 60, 130
"""Of each commune: people of its register as entries of a feed, presses of "save" as operations of pushes."""


def samples() -> Iterator[bytes]:
    """Yield frames as they go up and come down, each a sample."""
    for seed in SEEDS:
        commune = Commune(seed, people=_PEOPLE)
        site = f"{seed:05d}-01"
        yield from framed.entries(commune.records(), scope=f"stn:{site}")
        ops = list(framed.operations(itertools.islice(commune.work(), _SAVED)))
        yield from (
            head.model_dump_json(exclude_defaults=True).encode() + b"\n" + body + b"\n" for head, body in ops
        )
        yield framed.batch(ops[:1], station=site, epoch=framed.epoch_of(seed), seq=1)


def train(size: int) -> bytes:
    """Return a dictionary of at most ``size`` bytes; the same program gives the same one."""
    learnt: list[bytes | bytearray | memoryview[int]] = list(samples())
    print(f"{len(learnt):,} samples, {sum(map(len, learnt)):,} bytes", file=sys.stderr)
    return zstandard.train_dictionary(size, learnt, k=1024, d=8, level=codec.LEVEL).as_bytes()


def measure() -> Iterator[str]:
    """Yield a table: bytes a record of batches of 50, by level, with the newest dictionary and without one."""
    pushes = []
    records = 0
    for seed in MEASURED:
        work = itertools.islice(Commune(seed).work(), 200)
        made = framed.batches(work, station=f"{seed:05d}-01", epoch=framed.epoch_of(seed))
        some = list(itertools.islice(made, 20))
        pushes += some
        records += framed.BATCH * len(some)
    plain = sum(map(len, pushes))
    yield f"{records:,} records in batches of {framed.BATCH}: {plain / records:.0f} bytes each, with their heads"
    yield f"{'level':>5} {'dictionary':>10} {'bytes/record':>12} {'MB/s':>7}"
    for level in (3, 6, 9, 12, 15, 19):
        for dictionary in (None, codec.newest()):
            began = time.perf_counter()
            packed = sum(len(codec.compress(push, dictionary, level=level)[0]) for push in pushes)
            took = time.perf_counter() - began
            number = "none" if dictionary is None else str(dictionary.number)
            yield f"{level:>5} {number:>10} {packed / records:>12.1f} {plain / took / 1e6:>7.1f}"


def main() -> int:
    """Train, or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", action="store_true", help="write the next number")
    parser.add_argument("--size", type=int, default=SIZE, help="at most so many bytes")
    arguments = parser.parse_args()
    if arguments.train:
        known = [int(path.stem) for path in FOLDER.glob("*.zdict")]
        path = FOLDER / f"{max(known, default=0) + 1}.zdict"
        FOLDER.mkdir(exist_ok=True)
        path.write_bytes(train(arguments.size))
        print(f"{path.relative_to(Path.cwd())}: {path.stat().st_size:,} bytes", file=sys.stderr)
        codec.dictionaries.cache_clear()
    for line in measure():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
