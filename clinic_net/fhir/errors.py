"""What the FHIR language refuses. No message holds anything of the content."""

from collections.abc import Sequence
from typing import ClassVar

from clinic_net.kernel.errors import Invalid, NotFound, Place, TooLarge


class MalformedJson(Invalid):
    """The text is not the JSON that FHIR asks for. ``places[0].path`` is ``line:column``, both from 1, where known."""

    code = "malformed-json"

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        places = () if line is None else (Place(path=f"{line}:{column}", code=self.code, message=message),)
        super().__init__(message, places=places)
        self.line = line
        self.column = column


class MalformedXml(Invalid):
    """The text is not the XML that FHIR asks for. ``places[0].path`` is ``line:column``, both from 1, where known."""

    code = "malformed-xml"
    status: ClassVar[int] = 400

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        places = () if line is None else (Place(path=f"{line}:{column}", code=self.code, message=message),)
        super().__init__(message, places=places)


class ResourceTooLarge(TooLarge):
    """The text has more bytes than the caller's limit."""

    code = "resource-too-large"


class UnknownResourceType(NotFound):
    """FHIR R4 has no resource type of this name."""

    code = "unknown-resource-type"


class UnknownSearchParameter(Invalid):
    """A strict search named a parameter that the resource type does not have."""

    code = "unknown-search-parameter"


class InvalidSearchValue(Invalid):
    """A search value does not have the form that its parameter's type asks for."""

    code = "invalid-search-value"


class UnsupportedSearch(Invalid):
    """The standard has it, this server does not: a modifier, a chain, a parameter that cannot be indexed."""

    code = "unsupported-search"


class TooManySearchTerms(Invalid):
    """More parameters or alternatives than one search may have."""

    code = "too-many-search-terms"


class MalformedPatch(Invalid):
    """It is neither a JSON Patch nor a FHIRPath Patch."""

    code = "malformed-patch"
    status: ClassVar[int] = 400


class InvalidPatch(Invalid):
    """The patch cannot be applied to the resource as it is; ``places`` says which operation (numbered from 0)."""

    code = "invalid-patch"

    def __init__(self, message: str, *, position: int | None = None) -> None:
        found = () if position is None else (Place(f"operation[{position}]", self.code, message),)
        super().__init__(message, places=found)


def places(parameter: str, code: str, message: str) -> Sequence[Place]:
    """Return the place of a query parameter."""
    return (Place(path=parameter, code=code, message=message),)
