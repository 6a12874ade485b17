"""Refusals of the privacy workflows."""

from clinic_net.kernel.errors import Conflict, Invalid, NotFound


class UnknownRequest(NotFound):
    code = "unknown-privacy-request"


class UnknownBreach(NotFound):
    code = "unknown-breach"


class UnknownHold(NotFound):
    code = "unknown-hold"


class NobodyOfThatId(NotFound):
    code = "unknown-data-subject"


class NotOpen(Conflict):
    """The request has been decided, or this step was taken before."""

    code = "privacy-request-closed"


class SecondPersonNeeded(Conflict):
    """Whoever received a request for erasure does not carry it out."""

    code = "another-person-needed"


class OnHold(Conflict):
    """A legal hold keeps this person's record as it is."""

    code = "legal-hold"


class MustBeKept(Conflict):
    """The law has this record kept for longer."""

    code = "retention-not-over"


class UnusableEntry(Invalid):
    code = "unusable-privacy-entry"
