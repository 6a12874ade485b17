"""JSON Merge Patch (RFC 7396) over what ``jsontext.parse`` returns: what a member is to become, ``null`` where it goes.

FHIR R4 names no such patch; clients that send the changed elements of a resource mean it.
"""

from typing import Any

from .errors import MalformedPatch
from .jsonpatch import Patch
from .jsontext import parse_value


def read_merge_patch(text: bytes) -> Patch:
    """Return the patch that a text (``application/merge-patch+json``) describes.

    Raises MalformedJson, ResourceTooLarge, MalformedPatch.
    """
    content = parse_value(text)
    if not isinstance(content, dict):
        raise MalformedPatch("a JSON Merge Patch of a resource is an object")

    def patch(resource: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = _merged(resource, content)
        return merged

    return patch


def _merged(target: Any, change: Any) -> Any:
    """Return what RFC 7396 §2 makes of both; the text's bound on levels bounds the depth."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result
