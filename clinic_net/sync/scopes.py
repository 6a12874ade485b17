"""Scopes: which records stations share a feed of, and which feeds are a station's. Pure."""

from collections.abc import Collection
from uuid import UUID

NATION = "nat"
NATIONAL = "national"
"""The tenant of what a ministry's system writes that is part of no patient's record (``records.http``)."""

SHARED_TYPES = frozenset(
    {
        "ActivityDefinition", "CodeSystem", "Medication", "MedicationKnowledge", "PlanDefinition", "Questionnaire",
        "ValueSet",
    }
)  # fmt: skip
"""What stations work by, and every one of them holds: lists of codes and medicines, forms, plans."""

TENANT_OF_PROVINCE = 2
"""Digits of a province's code (QĐ 19/2025/QĐ-TTg)."""


def is_site(tenant: str) -> bool:
    """Whether a tenant is a station's site (``03325-01``); facilities and the nation have no hyphen."""
    return "-" in tenant


def feed_of(site: str) -> str:
    """Return the name of a station's scope."""
    return f"stn:{site}"


def commands_of(device: UUID) -> str:
    """Return the name of the scope of what one device is told."""
    return f"dev:{device}"


def shared_by(province: str) -> str:
    """Return the name of the scope of what a province's stations share."""
    return f"prov:{province}"


def scope_of_record(tenant: str, rtype: str, patient: str | None) -> str | None:
    """Return the scope in whose feed a record of this tenant is, or None.

    A patient's record is in its site's feed and in no shared one.
    """
    if is_site(tenant):
        return feed_of(tenant)
    if patient is not None or rtype not in SHARED_TYPES:
        return None
    if tenant == NATIONAL:
        return NATION
    return shared_by(tenant) if len(tenant) == TENANT_OF_PROVINCE and tenant.isdigit() else None


def is_shared(scope: str) -> bool:
    """Whether a scope holds what many stations share; nothing in it is about a patient."""
    return scope == NATION or scope.startswith("prov:")


def holds_records(scope: str) -> bool:
    """Whether a scope holds something, so that copies of it can be compared; commands are not held."""
    return not scope.startswith("dev:")


def scopes_of(device: UUID, site: str, province: str | None) -> tuple[str, ...]:
    """Return the scopes of a station in the order in which they are handed out: commands first."""
    shared = () if province is None else (shared_by(province),)
    return (commands_of(device), feed_of(site), *shared, NATION)


def own_cursors(asked: dict[str, int], own: Collection[str]) -> dict[str, int]:
    """Return where to go on in each of a station's scopes; in one that it does not name, from the beginning."""
    return {scope: asked.get(scope, 0) for scope in own}
