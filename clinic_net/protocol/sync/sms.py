"""The most urgent lane as one SMS: ask for a doctor, take it back, and the hub's answer. Pure.

``CN1`` and standard base64 without padding, so that every letter is in the default alphabet of GSM 7 bit
(3GPP TS 23.038 §6.2.1) and a message is one part of at most 160. No name, no word of a nurse: ids, a colour, a
specialty. The last bytes are a truncated HMAC-SHA-256 (RFC 2104 §5) with a key that only the device and the hub
have. ``counter`` grows with each message of a device and names it for ever.

::

    u8 version and kind │ 16 device │ u32 counter │ 16 request │ kind's own │ 10 MAC
    ask:    16 patient │ 16 encounter or zeros │ u32 asked at │ u8 colour │ u8 score or 255 │ specialty in ASCII
    answer: u8 version and kind │ u32 counter │ u8 status │ 8 MAC; then a space and words for people
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from struct import Struct
from uuid import UUID

from pydantic import Field

from clinic_net.protocol.sync.messages import Message

PREFIX = "CN1 "
LONGEST = 160
"""Letters of one SMS in GSM 7 bit."""

MAC_BYTES, ANSWER_MAC_BYTES = 10, 8
"""80 bits: a thousand guesses a second for a year hit with a chance of 3·10⁻¹⁴. An answer's 64 open nothing."""

VERSION = 1
COLOURS = ("none", "green", "yellow", "orange", "red")
_NO_SCORE = 255
_NOBODY = UUID(int=0)
_HEAD = Struct(">B16sI16s")
_ASK = Struct(">16s16sIBB")
_ANSWER = Struct(">BIB")
_LONGEST_SPECIALTY = 30


class Kind(IntEnum):
    ASK = 1
    CANCEL = 2
    ANSWER = 15


class Status(IntEnum):
    """What became of a request, as the hub's SMS says it."""

    RECEIVED = 1
    """The case is open and doctors are being rung."""
    ANSWERED = 2
    """A doctor has taken it."""
    OVER = 3


class Unreadable(ValueError):
    """The text is none of these messages: another form, another version, cut off, or longer than one SMS."""


class Forged(ValueError):
    """The message is whole, and its MAC is not this key's."""


@dataclass(frozen=True)
class Ask:
    """A request for a doctor. Ids are FHIR ids that are UUIDs; ``asked`` is the station's clock."""

    device: UUID
    counter: int
    request: UUID
    patient: UUID
    encounter: UUID | None
    asked: datetime
    specialty: str
    colour: str = "none"
    score: int | None = None


@dataclass(frozen=True)
class Cancel:
    """The request is taken back."""

    device: UUID
    counter: int
    request: UUID


@dataclass(frozen=True)
class Answer:
    """What the hub says of the message with this counter; ``words`` are for the nurse."""

    counter: int
    status: Status
    words: str = ""


class SmsKey(Message):
    """``GET /sync/v1/sms/key``: the device's key (hexadecimal, 32 bytes) and the number to send to (may be empty)."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    number: str = Field(max_length=20)


class Received(Message):
    """``POST /sync/v1/sms``: an SMS that a gateway took in."""

    text: str = Field(max_length=1000)


class Reply(Message):
    """What the gateway sends back to where the SMS came from."""

    text: str


def encode(message: Ask | Cancel, key: bytes) -> str:
    """Return a message as the text of one SMS."""
    kind = Kind.ASK if isinstance(message, Ask) else Kind.CANCEL
    raw = _HEAD.pack(VERSION << 4 | kind, message.device.bytes, message.counter, message.request.bytes)
    if isinstance(message, Ask):
        score = _NO_SCORE if message.score is None else min(max(message.score, 0), _NO_SCORE - 1)
        colour = COLOURS.index(message.colour) if message.colour in COLOURS else 0
        asked = max(0, int(message.asked.timestamp()))
        encounter = message.encounter or _NOBODY
        raw += _ASK.pack(message.patient.bytes, encounter.bytes, asked, colour, score)
        raw += message.specialty.encode("ascii", "ignore")[:_LONGEST_SPECIALTY]
    return PREFIX + _text(raw + _mac(key, raw, MAC_BYTES))


def device_of(text: str) -> UUID:
    """Return which device a message says it is from, so that its key can be found. Nothing is verified.

    Raises:
        Unreadable: it is no message of a device.
    """
    return UUID(bytes=_HEAD.unpack(_opened(text)[: _HEAD.size])[1])


def decode(text: str, key: bytes) -> Ask | Cancel:
    """Return a device's message.

    Raises:
        Unreadable: it is no message of a device.
        Forged: it was not made with this key, or was changed.
    """
    raw = _opened(text)
    signed, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if not hmac.compare_digest(_mac(key, signed, MAC_BYTES), mac):
        raise Forged("another key, or changed")
    first, device, counter, request = _HEAD.unpack(signed[: _HEAD.size])
    rest = signed[_HEAD.size :]
    if first & 15 == Kind.CANCEL and not rest:
        return Cancel(UUID(bytes=device), counter, UUID(bytes=request))
    if first & 15 != Kind.ASK or len(rest) < _ASK.size:
        raise Unreadable("another kind, or another length")
    patient, encounter, asked, colour, score = _ASK.unpack(rest[: _ASK.size])
    specialty = rest[_ASK.size :]
    if colour >= len(COLOURS) or not specialty.isascii():
        raise Unreadable("a value that has no meaning")
    return Ask(
        device=UUID(bytes=device),
        counter=counter,
        request=UUID(bytes=request),
        patient=UUID(bytes=patient),
        encounter=None if encounter == _NOBODY.bytes else UUID(bytes=encounter),
        asked=datetime.fromtimestamp(asked, UTC),
        specialty=specialty.decode("ascii"),
        colour=COLOURS[colour],
        score=None if score == _NO_SCORE else score,
    )


def encode_answer(answer: Answer, *, device: UUID, key: bytes) -> str:
    """Return the hub's answer to a device as the text of one SMS; letters that GSM 7 bit lacks are left out."""
    raw = _ANSWER.pack(VERSION << 4 | Kind.ANSWER, answer.counter, answer.status)
    mac = _mac(key, device.bytes + raw, ANSWER_MAC_BYTES)
    words = "".join(letter for letter in answer.words if letter.isascii() and letter.isprintable())
    return f"{PREFIX}{_text(raw + mac)} {words}"[:LONGEST].rstrip()


def decode_answer(text: str, *, device: UUID, key: bytes) -> Answer:
    """Return the hub's answer to this device. The words are not covered by the MAC: they decide nothing.

    Raises:
        Unreadable: it is no answer.
        Forged: it is another device's, or was not made with this key.
    """
    code, _, words = text.strip().removeprefix(PREFIX).partition(" ")
    raw = _bytes(text, code)
    if len(raw) != _ANSWER.size + ANSWER_MAC_BYTES or raw[0] != VERSION << 4 | Kind.ANSWER:
        raise Unreadable("no answer")
    signed, mac = raw[: _ANSWER.size], raw[_ANSWER.size :]
    if not hmac.compare_digest(_mac(key, device.bytes + signed, ANSWER_MAC_BYTES), mac):
        raise Forged("another device's, or changed")
    _, counter, status = _ANSWER.unpack(signed)
    try:
        return Answer(counter, Status(status), words)
    except ValueError:
        raise Unreadable("a status that has no meaning") from None


def _opened(text: str) -> bytes:
    raw = _bytes(text, text.strip().removeprefix(PREFIX))
    longest = _HEAD.size + _ASK.size + _LONGEST_SPECIALTY + MAC_BYTES
    if not _HEAD.size + MAC_BYTES <= len(raw) <= longest or raw[0] >> 4 != VERSION:
        raise Unreadable("another length, or another version")
    return raw


def _bytes(text: str, code: str) -> bytes:
    if len(text.strip()) > LONGEST or not text.strip().startswith(PREFIX):
        raise Unreadable("another form, or longer than one SMS")
    try:
        raw = b64decode(code + "=" * (-len(code) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("no base64") from None
    if _text(raw) != code:  # one message has one text
        raise Unreadable("another way to write the same")
    return raw


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii").rstrip("=")


def _mac(key: bytes, signed: bytes, length: int) -> bytes:
    return hmac.digest(key, b"clinicnet.sync.v1.sms\n" + signed, "sha256")[:length]
