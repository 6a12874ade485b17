"""``clinic-net bench records``: its arguments, and the run."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import uvloop

from clinic_net.bench import report
from clinic_net.bench.hub import NoHub
from clinic_net.bench.load import Unanswered
from clinic_net.bench.plot import picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked for."""
    parser.add_argument("--resources", type=int, default=50_000, help="how many the store holds at first")
    parser.add_argument("--growth", type=int, default=10, help="then it grows so many times; 1 leaves it out")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each work is counted")
    parser.add_argument("--processes", type=int, default=2, help="of the hub that is started")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the judged figures as SVG")
    parser.add_argument("--url", help="a running hub instead; needs --client-id and --secret-file")
    parser.add_argument("--client-id", help="a system client with system/*.cruds")
    parser.add_argument("--secret-file", type=Path, help="a file that holds its secret")


def run(arguments: argparse.Namespace) -> int:
    """Measure what the records do in a second, against a hub started for it or a running one."""
    if arguments.url is not None and not (arguments.client_id and arguments.secret_file):
        print("--url needs --client-id and --secret-file", file=sys.stderr)
        return 2
    client = None
    if arguments.url is not None:
        client = (arguments.client_id, arguments.secret_file.read_text("utf-8").strip())
    options = report.Options(
        arguments.resources, arguments.seconds, arguments.growth, arguments.processes, arguments.url, client
    )

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(report.records(options, say))
    except (NoHub, Unanswered) as failure:
        print(str(failure), file=sys.stderr)
        return 1
    if arguments.plot is not None:
        arguments.plot.write_text(picture(told), "utf-8")
    print(json.dumps(told, ensure_ascii=False, indent=2) if arguments.json else report.table(told))
    return 0
