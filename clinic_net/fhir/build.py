"""Resources of our own making, built through the typed models of ``fhir.resources`` (its R4B models).

The only importer of that library. Import this module where a resource is built, not at the top of a program: the
models take about a third of a second to load. Received resources never pass through here, because the models rewrite
decimals and instants.
"""

from collections.abc import Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

from .jsontext import parse, write
from .structure import check


def build(model: BaseModel) -> bytes:
    """Return the JSON text of a model of ``fhir.resources.R4B``.

    The models keep a decimal as a float when they write (72.50 becomes 72.5): for measured values use ``build_from``.
    Raises ValueError, without any content, when the result is not sound R4.
    """
    text: bytes = model.model_dump_json().encode()
    _demand_sound(parse(text))
    return text


def build_from(resource_type: str, content: Mapping[str, Any]) -> bytes:
    """Return the JSON text of a resource with ``content``: FHIR member names, decimals as ``Decimal``.

    Decimals keep their digits. The model checks types and cardinality, ``structure.check`` the rest against R4 itself.
    Raises ValueError, without any content, when the result would not be sound: that is a mistake in the calling code.
    """
    resource = {"resourceType": resource_type, **content}
    try:
        get_fhir_model_class(resource_type).model_validate(resource)
    except (ValueError, KeyError):
        raise ValueError(f"the content does not make a resource of type {resource_type}") from None
    _demand_sound(resource)
    return write(resource)


def _demand_sound(resource: dict[str, Any]) -> None:
    issues = check(resource)
    if issues:
        raise ValueError("; ".join(f"{issue.expression}: {issue.diagnostics}" for issue in issues))
