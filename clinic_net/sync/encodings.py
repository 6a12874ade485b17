"""How what is handed to a station is compressed, as far as it says that it can read it (RFC 9110, RFC 9842)."""

import base64
import binascii
import gzip
import zlib
from collections.abc import Mapping

from fastapi import Request

from clinic_net.protocol.sync import codec
from clinic_net.sync.errors import MalformedPush, PushTooLarge

MOST_ASKED = 1024 * 1024
"""Bytes of a question, after decompression: a hundred receipts are the longest part."""


def codings(header: str) -> frozenset[str]:
    """Return the codings that an ``Accept-Encoding`` takes."""
    found = set()
    for part in header.lower().split(","):
        name, _, parameter = part.partition(";")
        if parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            found.add(name.strip())
    return frozenset(found - {""})


def dictionary_of(header: str) -> codec.Dictionary | None:
    """Return the dictionary that ``Available-Dictionary`` (a byte sequence, RFC 9651 §3.3.5) names, if it is known."""
    said = header.strip()
    if len(said) < 2 or not (said.startswith(":") and said.endswith(":")):
        return None
    try:
        return codec.by_digest(base64.b64decode(said[1:-1], validate=True))
    except (binascii.Error, ValueError):
        return None


def encoded(stream: bytes, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """Return a stream as its reader can read it in the fewest bytes, and the fields that say how."""
    taken = codings(headers.get("accept-encoding", ""))
    fields = {"Vary": "Accept-Encoding, Available-Dictionary"}
    known = dictionary_of(headers.get("available-dictionary", "")) if codec.DCZ in taken else None
    if known is not None or codec.ZSTD in taken:
        body, coding = codec.compress(stream, known)
    elif "gzip" in taken:
        body, coding = gzip.compress(stream, 6, mtime=0), "gzip"
    else:
        return stream, fields
    return body, {**fields, "Content-Encoding": coding}


def plain(raw: bytes, coding: str) -> bytes:
    """Return what a station sent, inflated by a counted read.

    Raises:
        MalformedPush: it is not in this coding.
        PushTooLarge: it is longer than a question may be.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        if len(raw) > MOST_ASKED:
            raise PushTooLarge
        return raw
    if coding == "gzip":
        inflater = zlib.decompressobj(wbits=31)
        try:
            found = inflater.decompress(raw, MOST_ASKED + 1)
        except zlib.error:
            raise MalformedPush("the body is not gzip") from None
        if len(found) > MOST_ASKED:
            raise PushTooLarge
        return found
    try:
        return codec.decompress(raw, coding, limit=MOST_ASKED)
    except codec.Undecodable:
        raise MalformedPush("the body cannot be decompressed") from None
    except codec.TooMuch:
        raise PushTooLarge from None


async def said(request: Request) -> bytes:
    """Return what a station sent, decompressed."""
    return plain(await request.body(), request.headers.get("content-encoding", ""))
