"""Every parser that reads what somebody else wrote, fed with changed input for a bounded time: it reads or refuses.

``pytest tests/fuzz --fuzz-seconds 600 --fuzz-seed 7`` looks longer, or elsewhere. A failure names its input.
"""

import gc
import tracemalloc
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest

from clinic_net.fhir import check, index, parse, parse_search, read_xml, to_xml, write
from clinic_net.kernel.errors import Refusal
from clinic_net.protocol.signalling import HubHalf, SignalError, decode
from clinic_net.protocol.sync import Pull, Push
from clinic_net.sync.bodies import read as read_message
from tests.fuzz import corpus
from tests.fuzz.mutating import Round, rounds

GROWTH = 8 * 2**20
"""Bytes that a parser may have come to hold: its caches. Measured are allocations of Python."""


def json_text(data: bytes) -> None:
    resource = parse(data)
    if not check(resource):
        write(resource)
        index(resource)


def xml_text(data: bytes) -> None:
    text = read_xml(data)
    if not check(parse(text)):
        to_xml(text)


def query(data: bytes) -> None:
    pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True)
    for rtype in ("Patient", "Observation"):
        for lenient in (True, False):
            parse_search(rtype, pairs, lenient=lenient, base_url="http://hub.test/fhir")


def message(data: bytes) -> None:
    read_message(Push, data)
    read_message(Pull, data)


def frame(data: bytes) -> None:
    half = HubHalf(now=0.0)
    for now, text in enumerate((corpus.FRAMES[0], data, data)):
        half.receive(text, now=float(now))
    half.tick(now=90.0)
    decode(data)


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "FHIR in JSON": (json_text, corpus.resources),
    "FHIR in XML": (xml_text, corpus.in_xml),
    "a search": (query, lambda: corpus.QUERIES),
    "a push or a pull": (message, lambda: corpus.PUSHES),
    "a signalling frame": (frame, lambda: corpus.FRAMES),
}


def feed(parser: Callable[[bytes], None], one: Round) -> bool:
    """Return whether the parser took it. Anything but a refusal is its fault."""
    try:
        parser(one.data)
    except (Refusal, SignalError):
        return False
    except Exception as fault:
        raise AssertionError(f"{type(fault).__name__}: {one!r}") from fault
    return True


@pytest.mark.parametrize("target", TARGETS)
def test_a_parser_reads_or_refuses(target: str, pytestconfig: pytest.Config) -> None:
    parser, sound = TARGETS[target]
    seconds, seed = pytestconfig.getoption("fuzz_seconds"), pytestconfig.getoption("fuzz_seed")
    inputs = sound()
    warm = list(rounds(inputs, seed=seed + 1, seconds=0, least=150))
    for one in warm:
        feed(parser, one)
    gc.collect()  # a hub in this process may have told Python to collect rarely
    tracemalloc.start()
    taken = refused = 0
    before = tracemalloc.get_traced_memory()[0]
    for one in rounds(inputs, seed=seed, seconds=seconds):
        if feed(parser, one):
            taken += 1
        else:
            refused += 1
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert refused > taken / 50, "the changes break something"
    assert grown < GROWTH, f"{grown} bytes after {taken + refused} inputs"


def test_the_fuzzer_finds_a_parser_s_fault() -> None:
    def careless(data: bytes) -> None:
        parse(data)["resourceType"].lower()

    def fed() -> None:
        for one in rounds([b'{"resourceType":"Patient","a":[1,2,{"b":null}]}'], seed=1, seconds=5):
            feed(careless, one)

    with pytest.raises(AssertionError, match=r"AttributeError|KeyError"):
        fed()
