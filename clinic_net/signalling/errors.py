"""What signalling refuses, and how refusals sound on the wire."""

from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from clinic_net.protocol.signalling import ErrorCode


class NotYourCall(NotFound):
    """The call does not exist, or this session's owner is not a party of it: the two look alike."""

    code = "signal-not-your-call"

    def __init__(self) -> None:
        super().__init__("no such call")


class StaleEpoch(Conflict):
    """The message belongs to a media session that is over."""

    code = "signal-stale-epoch"

    def __init__(self) -> None:
        super().__init__("the media session has been built anew since")


class NotJoined(Conflict):
    """This session does not carry the party's media, or the other party has not come in yet."""

    code = "signal-not-joined"

    def __init__(self) -> None:
        super().__init__("both parties must have joined first")


class WrongSide(Forbidden):
    """Only the offerer offers, only the answerer answers."""

    code = "signal-wrong-side"

    def __init__(self) -> None:
        super().__init__("that is the other party's part")


class NotARequest(Invalid):
    """The message's content is not of its type's form, or its type is unknown."""

    code = "signal-not-a-request"

    def __init__(self) -> None:
        super().__init__("the message is not of the expected form")


_WIRE: tuple[tuple[type[Refusal], ErrorCode], ...] = (
    (StaleEpoch, ErrorCode.STALE_EPOCH),
    (NotFound, ErrorCode.NOT_FOUND),
    (Forbidden, ErrorCode.NOT_ALLOWED),
    (Unauthenticated, ErrorCode.NOT_ALLOWED),
    (Conflict, ErrorCode.BAD_STATE),
    (Invalid, ErrorCode.MALFORMED),
    (TooMany, ErrorCode.LIMIT),
    (Unavailable, ErrorCode.UNAVAILABLE),
)

TRY_AGAIN_MS = 1000


def on_the_wire(refusal: Refusal) -> tuple[ErrorCode, int | None, str | None]:
    """Return a refusal's code, the milliseconds after which it may pass, and whose it is now."""
    by = getattr(refusal, "by", None)
    if isinstance(by, str):
        return ErrorCode.ANSWERED_ELSEWHERE, None, by
    code = next((code for family, code in _WIRE if isinstance(refusal, family)), ErrorCode.UNAVAILABLE)
    if isinstance(refusal, TooMany):
        return code, refusal.retry_after * 1000, None
    return code, TRY_AGAIN_MS if code is ErrorCode.UNAVAILABLE else None, None
