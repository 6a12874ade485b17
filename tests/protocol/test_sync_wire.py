"""The stream that station and hub exchange: whatever was put in comes out, whatever else comes in is told apart."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.sync import OpHead, PushHead, codec, frames, sums
from clinic_net.protocol.sync.messages import Lane

AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
EPOCH = "0190f5a0-0000-7000-8000-000000000001"

texts = st.lists(st.binary(max_size=300), max_size=20)


def head(count: int) -> PushHead:
    return PushHead(station="03163-01", db_epoch=EPOCH, lane=Lane.CARE, seq=1, count=count)


def stream_of(bodies: list[bytes]) -> bytes:
    return frames.write(
        head(len(bodies)),
        (
            (OpHead(op=n, type="Patient", id=f"p-{n}", at=AT, size=len(body)), body)
            for n, body in enumerate(bodies, 1)
        ),
    )


def read(stream: bytes) -> list[tuple[OpHead, bytes]]:
    first, start = frames.first_of(stream, PushHead)
    return list(frames.frames_of(stream, start, OpHead, first.count))


@given(texts)
def test_what_was_written_is_read_byte_for_byte(bodies: list[bytes]) -> None:
    stream = stream_of(bodies)
    found = read(stream)
    assert [text for _, text in found] == bodies
    assert [op.op for op, _ in found] == list(range(1, len(bodies) + 1))


@given(texts.filter(bool), st.data())
def test_a_stream_that_was_cut_off_is_never_taken_for_a_whole_one(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = stream_of(bodies)
    cut = stream[: data.draw(st.integers(0, len(stream) - 1))]
    with pytest.raises(frames.Malformed):
        read(cut)


@given(st.binary(max_size=400))
def test_noise_is_malformed_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(frames.Malformed):
        read(noise)


def test_a_malformed_head_names_its_place_and_field_but_not_what_it_held() -> None:
    stream = stream_of([b"{}", b"{}"]).replace(b'"id":"p-2"', b'"id":"a/b/Secret"')
    with pytest.raises(frames.Malformed) as caught:
        read(stream)
    assert (caught.value.place, caught.value.field) == (2, "id")
    assert "Secret" not in str(caught.value)


def a_dictionary(raw: bytes) -> codec.Dictionary:
    return codec.Dictionary(1, sha256(raw).digest(), zstandard.ZstdCompressionDict(raw), {})


@given(st.binary(max_size=5000), st.booleans())
def test_compression_gives_back_what_it_was_given(data: bytes, with_dictionary: bool) -> None:
    known = a_dictionary(b"an observation of a pulse " * 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "dictionaries", lambda: (known,))
        packed, coding = codec.compress(data, known if with_dictionary else None)
        assert coding == ("dcz" if with_dictionary else "zstd")
        assert codec.decompress(packed, coding, limit=len(data)) == data


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_damaged_and_cut_off_bytes_are_undecodable(data: bytes, draw: st.DataObject) -> None:
    packed, coding = codec.compress(data, None)
    cut = packed[: draw.draw(st.integers(0, len(packed) - 1))]
    for damaged in (cut, packed + b"\0", packed + packed):
        with pytest.raises(codec.Undecodable):
            codec.decompress(damaged, coding, limit=10_000)


def test_nothing_is_inflated_beyond_the_limit() -> None:
    bomb = zstandard.ZstdCompressor(level=3).compress(bytes(64 << 20))
    with pytest.raises(codec.TooMuch):
        codec.decompress(bomb, "zstd", limit=4 << 20)
    unsized = zstandard.ZstdCompressor().compressobj()
    with pytest.raises(codec.Undecodable):
        codec.decompress(unsized.compress(b"a" * 100) + unsized.flush(), "zstd", limit=4 << 20)


def test_a_dictionary_that_is_not_here_is_undecodable() -> None:
    packed, coding = codec.compress(b"{}", a_dictionary(b"of another program"))
    with pytest.raises(codec.Undecodable):
        codec.decompress(packed, coding, limit=100)


records = st.tuples(st.sampled_from(["Patient", "Observation"]), st.text("abc0123", min_size=1, max_size=8))


@given(st.lists(st.tuples(records, st.integers(1, 9)), max_size=40), st.randoms())
def test_a_sum_does_not_depend_on_the_order_of_what_happened(
    versions: list[tuple[tuple[str, str], int]], rng: object
) -> None:
    held: dict[tuple[str, str], int] = {}
    running = 0
    for key, version in versions:
        if key in held:
            running -= sums.of_version(*key, held[key])
        running += sums.of_version(*key, version)
        held[key] = version
    fresh = sums.total(sums.of_version(*key, version) for key, version in sorted(held.items()))
    assert sums.spelled(running) == sums.spelled(fresh)
    assert all(0 <= sums.bin_of(*key) < sums.BINS for key in held)
