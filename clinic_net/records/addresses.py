"""Which methods an address takes, as the routes themselves say: for ``Allow`` and for the OpenAPI document."""

from collections.abc import Iterator, Sequence
from functools import cache
from inspect import cleandoc
from re import Pattern

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, compile_path

Route = tuple[str, str, str]
"""Method, path as it is written, description."""


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[Route]:
    """Yield the routes of an application below ``/fhir`` that are described."""
    for context in iter_route_contexts(routes):
        if getattr(context, "include_in_schema", False) and str(context.path).startswith("/fhir"):
            about = cleandoc(getattr(context.endpoint, "__doc__", None) or "")
            for method in sorted(context.methods or ()):
                yield method, str(context.path), about


@cache
def _pattern(path: str) -> Pattern[str]:
    return compile_path(path)[0]


def allowed(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """Return the methods that an address takes (RFC 9110 §10.2.1); none where there is nothing."""
    return sorted({method for method, written, _ in routes_of(routes) if _pattern(written).match(path)})
