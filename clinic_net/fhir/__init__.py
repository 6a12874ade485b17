"""The FHIR R4 (4.0.1) language, without a database: strict reading of JSON text and stamping of id and meta
(``jsontext``), the structural check compiled from the official definitions (``structure``), extraction of search
values (``index``), the search grammar (``search``) and OperationOutcomes (``outcome``). ``build`` makes resources of
our own and is imported by itself, because its models are slow to load."""

from .bundletext import read_entries
from .errors import (
    InvalidPatch,
    InvalidSearchValue,
    MalformedJson,
    MalformedPatch,
    MalformedXml,
    ResourceTooLarge,
    TooManySearchTerms,
    UnknownResourceType,
    UnknownSearchParameter,
    UnsupportedSearch,
)
from .fhirpatch import read_fhirpath_patch
from .index import IndexValues, index
from .jsonpatch import Patch, read_json_patch
from .jsontext import parse, stamp, write
from .mergepatch import read_merge_patch
from .outcome import from_refusal, operation_outcome
from .search import Search
from .search import parse as parse_search
from .structure import Issue, check
from .xmltext import read_xml, to_xml

__all__ = [
    "IndexValues",
    "InvalidPatch",
    "InvalidSearchValue",
    "Issue",
    "MalformedJson",
    "MalformedPatch",
    "MalformedXml",
    "Patch",
    "ResourceTooLarge",
    "Search",
    "TooManySearchTerms",
    "UnknownResourceType",
    "UnknownSearchParameter",
    "UnsupportedSearch",
    "check",
    "from_refusal",
    "index",
    "operation_outcome",
    "parse",
    "parse_search",
    "read_entries",
    "read_fhirpath_patch",
    "read_json_patch",
    "read_merge_patch",
    "read_xml",
    "stamp",
    "to_xml",
    "write",
]
