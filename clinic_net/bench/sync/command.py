"""``clinic-net bench sync``: its arguments, and the run."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import uvloop

from clinic_net.bench.hub import NoHub
from clinic_net.bench.load import Unanswered
from clinic_net.bench.sync import report
from clinic_net.bench.sync.plot import picture
from clinic_net.bench.sync.stations import Refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked for."""
    parser.add_argument("--quick", action="store_true", help="a little of everything: does it run?")
    parser.add_argument(
        "--only", action="append", choices=report.ROWS, help="a row; may be given several times"
    )
    parser.add_argument("--processes", type=int, default=2, help="of the hub that is started")
    parser.add_argument("--stations", type=int, help="how many come back at once")
    parser.add_argument("--records", type=int, help="how many each of them brings")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the judged figures as SVG")
    parser.add_argument("--url", help="a running hub instead; needs --codes")
    parser.add_argument("--codes", type=Path, help="a file with a site and its enrolment code in each line")


def run(arguments: argparse.Namespace) -> int:
    """Measure the stations' link, against a hub started for it or a running one."""
    if arguments.url is not None and arguments.codes is None:
        print("--url needs --codes", file=sys.stderr)
        return 2
    size = report.QUICK if arguments.quick else report.Size()
    given = {"returning": arguments.stations, "returning_records": arguments.records}
    size = report.Size(
        **{**vars(size), **{name: value for name, value in given.items() if value is not None}}
    )
    codes = []
    if arguments.codes is not None:
        pairs = (line.split() for line in arguments.codes.read_text("utf-8").splitlines() if line.strip())
        codes = [(pair[0], pair[1]) for pair in pairs]
    options = report.Options(size, arguments.processes, arguments.url, codes, frozenset(arguments.only or ()))

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(report.sync(options, say))
    except (NoHub, Unanswered, Refused) as failure:
        print(str(failure), file=sys.stderr)
        return 1
    if arguments.plot is not None:
        arguments.plot.write_text(picture(told), "utf-8")
    print(json.dumps(told, ensure_ascii=False, indent=2) if arguments.json else report.table(told))
    return 0
