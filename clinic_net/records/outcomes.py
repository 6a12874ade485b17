"""What a refusal looks like within a bundle, where each entry has a status, and what the database's refusals mean."""

from sqlalchemy.exc import DBAPIError

from clinic_net.fhir import (
    InvalidSearchValue,
    MalformedJson,
    TooManySearchTerms,
    UnknownSearchParameter,
    UnsupportedSearch,
)
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.http import status_of as family_status
from clinic_net.records.errors import TooCostly, TryAgain

BAD_REQUESTS = (
    MalformedJson,
    UnknownSearchParameter,
    InvalidSearchValue,
    UnsupportedSearch,
    TooManySearchTerms,
)
"""What FHIR answers with 400: the request is not understood. 422 is for a resource that is, and is not valid."""


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal in FHIR's reading."""
    if isinstance(refusal, BAD_REQUESTS):
        return 400
    return family_status(refusal)


def refusal_of(failure: DBAPIError) -> Refusal:
    """Return what a failure of the database means to a caller; a failure that means nothing is raised again."""
    match getattr(failure.orig, "sqlstate", None):
        case "57014":  # query_canceled: the statement's time is up
            return TooCostly("this takes too long; narrow it")
        case "40P01" | "40001" | "55P03":  # deadlock, serialization failure, lock not available
            return TryAgain("somebody else is changing the same records; try again")
        case _:
            raise failure
