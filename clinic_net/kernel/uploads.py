"""What somebody uploads, looked at before it is kept: what it is, how large it would become, and what it could do.

A file is known by its first bytes, never by its name or by what its sender says. Accepted is a short list of kinds
in which nothing can be carried out: pictures, sound, film, PDF without actions, DICOM. Everything else is refused, HTML
and SVG too. Pictures are measured from their heads; no pixel is decoded here (ASVS 5.2.2, 5.2.6).
"""

import mmap
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from clinic_net.kernel.errors import Invalid, TooLarge

MIB = 1024 * 1024
MAX_PIXELS = 52_000_000
"""What a telephone's camera of 50 megapixels makes; decoded, 156 MB. Pillow itself would take three times that."""
MAX_SIDE = 32_000
"""Pixels of the longer side: a strip of an electrocardiogram, not a picture of one line."""
MAX_INFLATED = 8 * MIB
"""Octets of a PDF's packed objects that are looked through."""


class UploadEmpty(Invalid):
    code = "upload-empty"


class UploadTooLarge(TooLarge):
    code = "upload-too-large"


class UploadTooManyPixels(TooLarge):
    code = "upload-too-many-pixels"


class UploadOfUnknownKind(Invalid):
    """Nothing that is accepted begins like this, or what is declared is not accepted."""

    code = "upload-unknown-kind"


class UploadMismatch(Invalid):
    """It is something that is accepted, but not what it is declared to be."""

    code = "upload-mismatch"


class UploadDamaged(Invalid):
    code = "upload-damaged"


class UploadActive(Invalid):
    """It could do something where it is opened, or is two kinds of file at once."""

    code = "upload-active"


@dataclass(frozen=True)
class Checked:
    """A file that may be kept. ``width`` and ``height`` are a picture's, in pixels."""

    media_type: str
    size: int
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class _Kind:
    """What begins alike: ``types`` are the declarations that it can stand for; ``most`` is in octets."""

    types: tuple[str, ...]
    begins: re.Pattern[bytes]
    most: int
    picture: str | None = None
    """The name of Pillow's reader."""


def _begins(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


_PDF = _Kind(("application/pdf",), _begins(rb"%PDF-[12]\.\d"), 32 * MIB)
_DICOM = _Kind(("application/dicom",), _begins(rb".{128}DICM"), 512 * MIB)
_PNG = _Kind(("image/png",), _begins(rb"\x89PNG\r\n\x1a\n"), 32 * MIB, "PNG")
_KINDS = (
    _Kind(("image/jpeg",), _begins(rb"\xff\xd8\xff"), 32 * MIB, "JPEG"),
    _PNG,
    _Kind(("image/webp",), _begins(rb"RIFF.{4}WEBP"), 32 * MIB, "WEBP"),
    _PDF,
    _DICOM,
    _Kind(("audio/wav",), _begins(rb"RIFF.{4}WAVE"), 64 * MIB),
    _Kind(("audio/ogg", "video/ogg"), _begins(rb"OggS\0"), 256 * MIB),
    _Kind(("audio/webm", "video/webm"), _begins(rb"\x1a\x45\xdf\xa3"), 256 * MIB),
    _Kind(("audio/mp4", "video/mp4"), _begins(rb"\0\0.{2}ftyp"), 256 * MIB),
)
ACCEPTED = frozenset(name for kind in _KINDS for name in kind.types)
"""Media types that may be declared."""

_SAME = {"image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav"}

_MARKUP = re.compile(rb"<(?:script|html|svg|iframe|!doctype\s+html|\?php)[\s>/]", re.IGNORECASE)
"""What makes a browser, or a server, read a picture as a page: found in no compressed picture by chance."""
_ARCHIVE_ENDS = b"PK\x05\x06"
_ARCHIVE_TAIL = 65_557
"""A ZIP archive is found from its end: 22 octets and a comment of at most 65,535 (APPNOTE 4.3.16)."""
_PDF_HEAD = 1024
"""Readers look for ``%PDF-`` in so many octets (ISO 32000-1, annex H, note 13)."""

_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
_ACTIONS = re.compile(
    rb"/(?:JavaScript|JS|Launch|EmbeddedFiles?|RichMedia|XFA|SubmitForm|ImportData|GoToE|Movie|Sound)(?![A-Za-z0-9_.-])"
)
"""Names of ISO 32000-1 §12.6 and §7.11.4 that run, send or carry something."""
_PACKED = re.compile(rb"/ObjStm(?![A-Za-z0-9]).{0,512}?stream\r?\n", re.DOTALL)
_LOCKED = re.compile(rb"/Encrypt(?![A-Za-z0-9])")
"""A locked PDF cannot be looked through."""
_PNG_ENDS = b"\0\0\0\0IEND\xaeB`\x82"


def check(content: bytes | Path, declared: str) -> Checked:
    """Return what a file is, if it may be kept as ``declared``: a media type, with or without parameters.

    Blocks while it reads (a file is mapped, not loaded): off the event loop for anything large.

    Raises:
        UploadEmpty, UploadTooLarge, UploadTooManyPixels: its size.
        UploadOfUnknownKind, UploadMismatch: it is nothing that is accepted, or not what it is declared to be.
        UploadDamaged: it begins like it, but cannot be read as that, or cannot be looked through.
        UploadActive: it could do something where it is opened, or is two kinds of file at once.
        OSError: the file cannot be read.
    """
    asked = declared.partition(";")[0].strip().lower()
    asked = _SAME.get(asked, asked)
    if asked not in ACCEPTED:
        raise UploadOfUnknownKind("files of this kind are not accepted")
    with _seen(content) as (data, stream):
        kind = next((kind for kind in _KINDS if kind.begins.match(data)), None)
        if kind is None:
            raise UploadOfUnknownKind("the content is of no kind that is accepted")
        if asked not in kind.types:
            raise UploadMismatch("the content is not of the declared kind")
        if len(data) > kind.most:
            raise UploadTooLarge(f"files of this kind have at most {kind.most // MIB} MiB")
        _demand_one_kind(data, kind)
        if kind is _PDF:
            _demand_no_actions(data)
        if kind.picture is None:
            return Checked(asked, len(data))
        width, height = _measured(stream, kind.picture)
        return Checked(asked, len(data), width, height)


@contextmanager
def _seen(content: bytes | Path) -> Iterator[tuple[bytes | mmap.mmap, BinaryIO]]:
    """Give the octets, and a stream of them, without loading a file."""
    if isinstance(content, bytes):
        if not content:
            raise UploadEmpty("the file is empty")
        yield content, BytesIO(content)
        return
    if content.stat().st_size == 0:
        raise UploadEmpty("the file is empty")
    with (
        content.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data, stream


def _demand_one_kind(data: bytes | mmap.mmap, kind: _Kind) -> None:
    """Refuse what another program would take for a page, an archive or a PDF.

    A DICOM file's first 128 octets are free for any other head (CVE-2019-11687): here they are zero. A RIFF file says
    its length, a PNG picture has an end; behind them stands nothing. A telephone's JPEG may carry a film behind it.
    """
    two = UploadActive("the file is two kinds of file at once")
    tail = data[max(0, len(data) - _ARCHIVE_TAIL) :]
    if _ARCHIVE_ENDS in tail or (kind is not _PDF and b"%PDF-" in data[:_PDF_HEAD]):
        raise two
    if kind is _DICOM and any(data[:128]):
        raise two
    if kind is _PNG and data[-len(_PNG_ENDS) :] != _PNG_ENDS:
        raise two if data.find(_PNG_ENDS) >= 0 else UploadDamaged("the picture has no end")
    if data[:4] == b"RIFF":
        said = int.from_bytes(data[4:8], "little") + 8
        if len(data) > said + said % 2:
            raise two
    if kind is not _PDF and _MARKUP.search(data):
        raise UploadActive("the file holds a page or a program")


def _demand_no_actions(data: bytes | mmap.mmap) -> None:
    """Refuse a PDF that runs, sends or carries something, in the open or in its packed objects."""
    active = UploadActive("the document holds a program, a form that sends, or another file")
    if _LOCKED.search(data):
        raise UploadDamaged("a locked document cannot be looked through")
    if _ACTIONS.search(_ESCAPED.sub(_octet, data[:])):
        raise active
    left = MAX_INFLATED
    for packed in _PACKED.finditer(data):
        try:
            inflated = zlib.decompressobj().decompress(data[packed.end() : packed.end() + MAX_INFLATED], left)
        except zlib.error:
            raise UploadDamaged("the document's objects cannot be looked through") from None
        left -= len(inflated)
        if left <= 0:
            raise UploadTooLarge("the document unpacks into too much")
        if _ACTIONS.search(_ESCAPED.sub(_octet, inflated)):
            raise active


def _octet(escaped: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escaped[1].decode())


def _measured(stream: BinaryIO, reader: str) -> tuple[int, int]:
    """Return a picture's width and height, from its head alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=[reader]) as picture:
                width, height = picture.size
                frames = getattr(picture, "n_frames", 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadTooManyPixels("the picture has too many pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise UploadDamaged("the picture cannot be read") from None
    if width * height * frames > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UploadTooManyPixels("the picture has too many pixels")
    return width, height
