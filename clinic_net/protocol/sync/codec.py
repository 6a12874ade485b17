"""Compression with a dictionary that both sides were shipped with: ``dcz`` of RFC 9842, and zstd without one.

Fifty records of 900 bytes are about 60 bytes each with the dictionary, 100 without. What comes from the other side is
never inflated beyond a limit.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

import zstandard

DCZ, ZSTD = "dcz", "zstd"
_MAGIC = bytes((0x5E, 0x2A, 0x4D, 0x18, 0x20, 0x00, 0x00, 0x00))
"""RFC 9842 §5: a skippable zstd frame of 32 bytes, which are the SHA-256 of the dictionary."""
_HEADER = len(_MAGIC) + 32
LEVEL = 9


class Undecodable(ValueError):
    """The bytes are not what their encoding says, are cut off, or name a dictionary that is not here."""


class TooMuch(ValueError):
    """The bytes would inflate beyond the limit."""


@dataclass(frozen=True)
class Dictionary:
    """One trained dictionary; ``digest`` is its SHA-256."""

    number: int
    digest: bytes
    data: zstandard.ZstdCompressionDict
    _compressors: dict[int, zstandard.ZstdCompressor]

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        found = self._compressors.get(level)
        if found is None:
            found = zstandard.ZstdCompressor(
                level=level, dict_data=self.data, write_checksum=True, write_dict_id=False
            )
            self._compressors[level] = found
        return found


@cache
def dictionaries() -> tuple[Dictionary, ...]:
    """Return the dictionaries this program was shipped with, oldest first. A released one is never changed."""
    folder = files("clinic_net.protocol.sync") / "dictionaries"
    if not folder.is_dir():
        return ()
    found = []
    for item in folder.iterdir():
        name, _, ending = item.name.partition(".")
        if ending == "zdict":
            raw = item.read_bytes()
            data = zstandard.ZstdCompressionDict(raw)
            found.append(Dictionary(int(name), sha256(raw).digest(), data, {}))
    return tuple(sorted(found, key=lambda dictionary: dictionary.number))


def newest() -> Dictionary | None:
    """Return the dictionary to write with, or None."""
    return dictionaries()[-1] if dictionaries() else None


def by_digest(digest: bytes) -> Dictionary | None:
    """Return the dictionary of a digest, or None if this program has none such."""
    return next((known for known in dictionaries() if known.digest == digest), None)


def compress(data: bytes, dictionary: Dictionary | None, *, level: int = LEVEL) -> tuple[bytes, str]:
    """Return ``data`` compressed, and the name of its content coding."""
    if dictionary is None:
        return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data), ZSTD
    return _MAGIC + dictionary.digest + dictionary.compressor(level).compress(data), DCZ


def decompress(data: bytes, coding: str, *, limit: int) -> bytes:
    """Return what was compressed, at most ``limit`` bytes.

    Raises:
        Undecodable: it is not whole, or not of this coding, or its dictionary is not here.
        TooMuch: it is longer than ``limit``.
    """
    known = None
    if coding == DCZ:
        if len(data) < _HEADER or data[: len(_MAGIC)] != _MAGIC:
            raise Undecodable("no dcz header")
        known = by_digest(data[len(_MAGIC) : _HEADER])
        if known is None:
            raise Undecodable("unknown dictionary")
        data = data[_HEADER:]
    elif coding != ZSTD:
        raise Undecodable("unknown coding")
    return _inflate(data, known, limit)


def _inflate(data: bytes, known: Dictionary | None, limit: int) -> bytes:
    try:
        size = zstandard.frame_content_size(data)
        if size > limit:
            raise TooMuch("longer than allowed")
        if size < 0:  # a frame that does not say how long it is could be anything
            raise Undecodable("no length")
        # The window is bounded too: a frame may ask for gigabytes before its first byte.
        window = max(1 << 10, min(limit, 1 << 27))
        inflater = zstandard.ZstdDecompressor(
            dict_data=None if known is None else known.data, max_window_size=1 << (window - 1).bit_length()
        )
        return inflater.decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        raise Undecodable("damaged, or cut off") from None
