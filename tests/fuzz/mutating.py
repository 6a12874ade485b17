"""Small changes to sound input, made by a seed: what a fuzzer feeds to a parser that knows nothing of coverage."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from time import monotonic

TOKENS = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"1e999", b"-", b"NaN", b"null", b"[]",
    b"{}", b'""', b"[" * 70, b'{"a":' * 70, b"9" * 400, b"0.", b"<", b"]]>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;",
    b"<?x?>", b"\r\n", b"2024-02-30", b"../", b"urn:uuid:", b"#", b"|", b"\\,", b"%00", b"(", b" or ", b":not",
    b"_has:", "Nguyễn".encode(), "\u202e".encode(), b"A" * 3000,
)  # fmt: skip


def mutated(random: Random, sound: bytes, other: bytes) -> bytes:
    """Return ``sound`` after one to four changes; ``other`` lends pieces."""
    data = bytearray(sound)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        size = min(random.choice((1, 1, 2, 8, 40, 400)), len(data) - at)
        match random.randrange(7):
            case 0:
                del data[at : at + size]
            case 1:
                data[at:at] = random.choice(TOKENS)
            case 2:
                data[at : at + size] = random.choice(TOKENS)
            case 3:
                data[at:at] = data[at : at + size] * random.choice((1, 2, 20))
            case 4 if data:
                place = min(at, len(data) - 1)
                data[place] ^= 1 << random.randrange(8)
            case 5:
                start = random.randrange(len(other) + 1)
                data[at : at + size] = other[start : start + size + 20]
            case _:
                del data[at:]
    return bytes(data[:100_000])


@dataclass
class Round:
    """One input, and how to have it again: the target's name, the seed, the number."""

    number: int
    data: bytes

    def __repr__(self) -> str:
        return f"input {self.number}: {self.data[:200]!r}"


def rounds(corpus: list[bytes], *, seed: int, seconds: float, least: int = 200) -> Iterator[Round]:
    """Yield changed inputs for ``seconds``, and at least ``least`` of them."""
    random, number, until = Random(seed), 0, monotonic() + seconds
    while monotonic() < until or number < least:
        yield Round(number, mutated(random, random.choice(corpus), random.choice(corpus)))
        number += 1
