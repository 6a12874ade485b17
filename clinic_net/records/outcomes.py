"""What a refusal looks like within a bundle, where each entry has a status, and what the database's refusals mean."""

from sqlalchemy.exc import DBAPIError

from clinic_net.fhir import (
    InvalidSearchValue,
    MalformedJson,
    TooManySearchTerms,
    UnknownSearchParameter,
    UnsupportedSearch,
)
from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from clinic_net.records.errors import TooCostly, TryAgain

BAD_REQUESTS = (
    MalformedJson,
    UnknownSearchParameter,
    InvalidSearchValue,
    UnsupportedSearch,
    TooManySearchTerms,
)
"""What FHIR answers with 400: the request is not understood. 422 is for a resource that is, and is not valid."""

_STATUS: tuple[tuple[type[Refusal], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (PreconditionFailed, 412),
    (TooLarge, 413),
    (Invalid, 422),
    (TooMany, 429),
    (Unavailable, 503),
)


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal in FHIR's reading."""
    if isinstance(refusal, BAD_REQUESTS):
        return 400
    own = getattr(refusal, "status", None)
    if isinstance(own, int):
        return own
    return next((status for family, status in _STATUS if isinstance(refusal, family)), 400)


def refusal_of(failure: DBAPIError) -> Refusal:
    """Return what a failure of the database means to a caller; a failure that means nothing is raised again."""
    match getattr(failure.orig, "sqlstate", None):
        case "57014":  # query_canceled: the statement's time is up
            return TooCostly("this takes too long; narrow it")
        case "40P01" | "40001" | "55P03":  # deadlock, serialization failure, lock not available
            return TryAgain("somebody else is changing the same records; try again")
        case _:
            raise failure
