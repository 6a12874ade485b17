"""What the records refuse. ``status`` is the HTTP status where FHIR asks for another than the family's."""

from collections.abc import Sequence
from typing import ClassVar

from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refusal,
    Retry,
    Unavailable,
)


class UnknownResource(NotFound):
    """There is no such resource, or not for this caller: the two look alike."""

    code = "unknown-resource"

    def __init__(self) -> None:
        super().__init__("there is no such resource")


class ResourceDeleted(NotFound):
    """It was there, for this caller, and has been deleted."""

    code = "resource-deleted"
    status: ClassVar[int] = 410


class UnknownPatient(Invalid):
    """The resource is about a patient whom this caller does not know."""

    code = "unknown-patient"


class InvalidResource(Invalid):
    """It is not a valid resource of its type; ``places`` says where and why."""

    code = "invalid-resource"


class MalformedRequest(Invalid):
    """The request cannot be understood: an id that does not fit, a bundle that contradicts itself."""

    code = "malformed-request"
    status: ClassVar[int] = 400


class ReadOnly(Forbidden):
    """This caller may read but not write, or not there."""

    code = "read-only"


class LabelNotAllowed(Forbidden):
    """A security label was put on or taken off by somebody whom it would keep out."""

    code = "label-not-allowed"


class PolicyDisagrees(Unavailable):
    """An answer held what the caller may not see when it was looked at again: a right ended in between, or an error."""

    code = "policy-disagrees"


class NotForStations(Forbidden):
    """A station sends and fetches records by synchronisation, not by REST."""

    code = "stations-synchronise"


class VersionConflict(PreconditionFailed):
    """The version that the caller changed is not the current one."""

    code = "version-conflict"


class ResourceExists(PreconditionFailed):
    """It was to be written only where nothing is, or not over this version (``If-None-Match``)."""

    code = "resource-exists"


class AlreadyExists(Conflict):
    """It was to be created, and it is there already."""

    code = "already-exists"


class MultipleMatches(PreconditionFailed):
    """The criteria of a conditional interaction fit more than one resource."""

    code = "multiple-matches"


class UnknownReference(Invalid):
    """A conditional reference of a transaction fits nothing."""

    code = "unknown-reference"


class InvalidCursor(Invalid):
    """The page's cursor was not made by this hub for this caller and search."""

    code = "invalid-cursor"
    status: ClassVar[int] = 400


class UnsupportedInteraction(Refusal):
    """FHIR has this interaction, this address does not. ``allowed`` are the methods that it takes."""

    code = "unsupported-interaction"
    status: ClassVar[int] = 405

    def __init__(self, message: str, *, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class AsyncUnsupported(Refusal):
    """This is answered at once or not at all."""

    code = "async-unsupported"
    status: ClassVar[int] = 400


class UnsupportedFormat(Refusal):
    """The answer was asked for in a format other than FHIR JSON."""

    code = "unsupported-format"
    status: ClassVar[int] = 406


class UnsupportedContent(Refusal):
    """The body is of a content type other than FHIR JSON."""

    code = "unsupported-content"
    status: ClassVar[int] = 415


class TooCostly(Unavailable):
    """The search took longer than its budget and was stopped; narrow it."""

    code = "too-costly"


class TryAgain(Unavailable):
    """Two transactions waited for each other and this one gave way."""

    code = "try-again"
    retry = Retry.LATER


class Abandoned(Conflict):
    """It was not stored because something that belongs together with it was refused; that one says why."""

    code = "abandoned"
