"""What is uploaded is known by its content, measured before it is decoded, and can do nothing where it is opened."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clinic_net.kernel import uploads
from clinic_net.kernel.errors import Invalid, Refusal


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "white").save(out, kind)
    return out.getvalue()


def claimed_png(width: int, height: int) -> bytes:
    """A PNG of a few octets whose head says any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.class", "x")
    return out.getvalue()


PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"


def pdf(inside: bytes) -> bytes:
    return PDF.replace(b"/Pages", inside + b" /Pages")


def packed(inside: bytes) -> bytes:
    data = zlib.compress(inside)
    head = b"3 0 obj\n<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d >>\nstream\n" % len(data)
    return PDF.replace(b"trailer", head + data + b"\nendstream\nendobj\ntrailer")


def wav(behind: bytes = b"") -> bytes:
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 4000, 8000, 2, 16) + b"data" + struct.pack("<I", 4)
    body += b"\0\0\1\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body + behind


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (picture("JPEG"), "image/jpeg"),
        (picture("JPEG"), "Image/JPG; charset=binary"),
        (picture("PNG"), "image/png"),
        (picture("WEBP"), "image/webp"),
        (PDF, "application/pdf"),
        (packed(b"4 0 << /Type /Page >>"), "application/pdf"),
        (bytes(128) + b"DICM" + bytes(16), "application/dicom"),
        (wav(), "audio/x-wav"),
        (b"OggS\0" + bytes(60), "audio/ogg"),
        (b"\x1a\x45\xdf\xa3" + bytes(60), "audio/webm"),
        (b"\0\0\0\x18ftypmp42" + bytes(60), "video/mp4"),
    ],
)
def test_what_a_clinic_sends_may_be_kept(content: bytes, declared: str, tmp_path: Path) -> None:
    checked = uploads.check(content, declared)
    assert checked.size == len(content)
    assert checked.media_type in uploads.ACCEPTED
    file = tmp_path / "upload"
    file.write_bytes(content)
    assert uploads.check(file, declared) == checked


def test_a_picture_is_measured() -> None:
    assert uploads.check(picture("JPEG"), "image/jpeg") == uploads.Checked(
        "image/jpeg", len(picture("JPEG")), 40, 30
    )


@pytest.mark.parametrize(
    ("content", "declared", "refusal"),
    [
        (b"", "image/png", uploads.UploadEmpty),
        (picture("PNG"), "image/jpeg", uploads.UploadMismatch),
        (PDF, "image/png", uploads.UploadMismatch),
        (b"<html><script>alert(1)</script>", "image/png", uploads.UploadOfUnknownKind),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", uploads.UploadOfUnknownKind),
        (b"MZ\x90\0" + bytes(64), "application/octet-stream", uploads.UploadOfUnknownKind),
        (archive(), "application/zip", uploads.UploadOfUnknownKind),
        (claimed_png(60_000, 60_000), "image/png", uploads.UploadTooManyPixels),
        (claimed_png(10_000, 8_900), "image/png", uploads.UploadTooManyPixels),
        (claimed_png(12_000, 12_000), "image/png", uploads.UploadTooManyPixels),
        (claimed_png(40_000, 2), "image/png", uploads.UploadTooManyPixels),
        (picture("PNG") + archive(), "image/png", uploads.UploadActive),
        (picture("PNG") + b"more", "image/png", uploads.UploadActive),
        (picture("PNG")[:-12], "image/png", uploads.UploadDamaged),
        (picture("JPEG") + archive(), "image/jpeg", uploads.UploadActive),
        (picture("JPEG") + b"<?php system($_GET['c']); ?>", "image/jpeg", uploads.UploadActive),
        (picture("JPEG") + b"<SCRIPT >alert(1)", "image/jpeg", uploads.UploadActive),
        (picture("JPEG")[:20] + b"%PDF-1.7" + picture("JPEG")[20:], "image/jpeg", uploads.UploadActive),
        (picture("JPEG")[:40], "image/jpeg", uploads.UploadDamaged),
        (b"MZ" + bytes(126) + b"DICM", "application/dicom", uploads.UploadActive),
        (wav(b"<html>"), "audio/wav", uploads.UploadActive),
        (
            pdf(b"/OpenAction << /S /JavaScript /JS (app.alert(1)) >>"),
            "application/pdf",
            uploads.UploadActive,
        ),
        (pdf(b"/OpenAction << /S /J#61vaScript >>"), "application/pdf", uploads.UploadActive),
        (pdf(b"/Names << /EmbeddedFiles 9 0 R >>"), "application/pdf", uploads.UploadActive),
        (packed(b"4 0 << /S /Launch >>"), "application/pdf", uploads.UploadActive),
        (packed(bytes(9 * uploads.MIB)), "application/pdf", uploads.UploadTooLarge),
        (pdf(b"/Encrypt 5 0 R"), "application/pdf", uploads.UploadDamaged),
        (PDF + archive(), "application/pdf", uploads.UploadActive),
        (PDF + bytes(33 * uploads.MIB), "application/pdf", uploads.UploadTooLarge),
    ],
)
def test_what_is_not_what_it_says_or_could_do_something_is_refused(
    content: bytes, declared: str, refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        uploads.check(content, declared)


@given(
    head=st.sampled_from([picture("JPEG"), picture("PNG"), picture("WEBP"), PDF, wav(), b""]),
    cut=st.integers(0, 400),
    junk=st.binary(max_size=200),
    declared=st.sampled_from(sorted(uploads.ACCEPTED)),
)
def test_whatever_comes_is_kept_or_refused(head: bytes, cut: int, junk: bytes, declared: str) -> None:
    try:
        checked = uploads.check(head[:cut] + junk, declared)
    except Invalid:
        return
    assert checked.size == len(head[:cut] + junk)
