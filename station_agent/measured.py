"""For measurements of a station: save records as the desk does, and tell how many are held. Not for people.

``python -m station_agent.measured save --data DIR`` reads a line for each press of "save", a JSON list of resources,
and keeps each in a transaction of its own. ``… held --data DIR --until N`` tells how many records the store holds, a
line each time it looks, until there are N.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from station_agent import clock
from station_agent.store import Database
from station_agent.store.database import FILE_NAME, read_only
from station_agent.store.records import Desk

_LOOK_EVERY_S = 0.25


def save(directory: Path, lines: Iterable[str]) -> int:
    """Save what each line holds; return how many records there were."""
    database = Database(directory / FILE_NAME, clock.now())
    count = 0
    try:
        for line in lines:
            with database.transaction() as tx:
                desk = Desk(tx, now=clock.now(), by="nurse:bench")
                for resource in json.loads(line):
                    desk.put(resource)
                    count += 1
    finally:
        database.close()
    return count


def held(directory: Path) -> int:
    """Return how many records the store of an agent holds, which may be running."""
    try:
        connection = read_only(directory / FILE_NAME)
    except FileNotFoundError:
        return 0
    try:
        return int(connection.execute("select count(*) from resource").fetchone()[0])
    finally:
        connection.close()


def main() -> int:
    """Do one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=("save", "held"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--until", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.work == "save":
        print(json.dumps({"saved": save(arguments.data, sys.stdin)}), flush=True)
        return 0
    while True:
        count = held(arguments.data)
        print(json.dumps({"held": count}), flush=True)
        if count >= arguments.until:
            return 0
        time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
