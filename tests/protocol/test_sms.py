"""The SMS of the most urgent lane: one part, no names, readable by nobody's key but its device's."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.sync import sms
from clinic_net.protocol.sync.sms import (
    LONGEST,
    Answer,
    Ask,
    Cancel,
    Forged,
    Status,
    Unreadable,
    decode,
    decode_answer,
    device_of,
    encode,
    encode_answer,
)

KEY, OTHER = b"k" * 32, b"o" * 32
GSM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/ ")
"""What we use of the default alphabet (3GPP TS 23.038 §6.2.1)."""

keys = st.binary(min_size=32, max_size=32)
counters = st.integers(0, 2**32 - 1)
instants = st.integers(0, 2**32 - 1).map(lambda s: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
asks = st.builds(
    Ask,
    device=st.uuids(),
    counter=counters,
    request=st.uuids(),
    patient=st.uuids(),
    encounter=st.none() | st.uuids(),
    asked=instants,
    specialty=st.from_regex(r"[a-z][a-z-]{0,29}", fullmatch=True),
    colour=st.sampled_from(sms.COLOURS),
    score=st.none() | st.integers(0, 254),
)
cancels = st.builds(Cancel, device=st.uuids(), counter=counters, request=st.uuids())
messages = asks | cancels


@given(messages, keys)
def test_a_message_is_one_sms_and_comes_back_as_it_was(message: Ask | Cancel, key: bytes) -> None:
    text = encode(message, key)
    assert len(text) <= LONGEST
    assert set(text) <= GSM
    assert device_of(text) == message.device
    assert decode(text, key) == message
    assert decode(f" {text}\r\n", key) == message  # gateways add white space


@given(messages)
def test_another_key_does_not_open_it(message: Ask | Cancel) -> None:
    with pytest.raises(Forged):
        decode(encode(message, KEY), OTHER)


@given(messages, st.data())
def test_a_changed_letter_is_found(message: Ask | Cancel, data: st.DataObject) -> None:
    text = encode(message, KEY)
    place = data.draw(st.integers(len(sms.PREFIX), len(text) - 1))
    letter = data.draw(st.sampled_from(sorted(GSM - {text[place], " "})))
    with pytest.raises((Forged, Unreadable)):
        decode(text[:place] + letter + text[place + 1 :], KEY)


@given(messages, st.integers(1, 30))
def test_a_message_cut_off_is_found(message: Ask | Cancel, missing: int) -> None:
    with pytest.raises((Forged, Unreadable)):
        decode(encode(message, KEY)[:-missing], KEY)


@given(st.text(max_size=400) | st.text(max_size=150).map(lambda rest: sms.PREFIX + rest))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    for read in (
        lambda: decode(text, KEY),
        lambda: device_of(text),
        lambda: decode_answer(text, device=UUID(int=1), key=KEY),
    ):
        with pytest.raises((Forged, Unreadable)):
            read()


@given(st.uuids(), counters, st.sampled_from(Status), st.text(max_size=300))
def test_an_answer_is_one_sms_for_one_device(device: UUID, counter: int, status: Status, words: str) -> None:
    text = encode_answer(Answer(counter, status, words), device=device, key=KEY)
    assert len(text) <= LONGEST
    assert text.isascii()
    said = decode_answer(text, device=device, key=KEY)
    assert (said.counter, said.status) == (counter, status)
    assert said.words in words.replace("\n", "") or set(said.words) <= set(words)
    with pytest.raises(Forged):
        decode_answer(text, device=UUID(int=device.int ^ 1), key=KEY)
    with pytest.raises(Forged):
        decode_answer(text, device=device, key=OTHER)


def test_a_message_of_a_later_version_is_not_taken_for_one_of_ours() -> None:
    text = encode(Cancel(UUID(int=1), 1, UUID(int=2)), KEY)
    later = sms.PREFIX + b64encode(bytes([0x21]) + b64decode(text[4:] + "==")[1:]).decode().rstrip("=")
    with pytest.raises(Unreadable):
        decode(later, KEY)
