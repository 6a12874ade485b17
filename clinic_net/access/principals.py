"""Who a request or a socket speaks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from clinic_net.access.scopes import Scope


class Role(StrEnum):
    """What a person does here."""

    DOCTOR = "doctor"
    NURSE = "nurse"
    COORDINATOR = "coordinator"
    OPERATOR = "operator"
    """Administers a province's people and stations; nothing clinical."""
    AUDITOR = "auditor"
    NATIONAL = "national"
    """Administers every province, and the operators; nothing clinical."""
    CITIZEN = "citizen"
    """Somebody whose own record is here, or whose child's."""


ADMINISTRATORS = frozenset({Role.OPERATOR, Role.NATIONAL})
"""Who administers people and stations."""

PRIVILEGED = ADMINISTRATORS | {Role.AUDITOR}
"""Roles that nobody gets by the hand of one administrator alone; their sessions are the shortest."""

PURPOSES: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        Role.DOCTOR: ("TREAT", "PUBHLTH"),
        Role.NURSE: ("TREAT", "PUBHLTH"),
        Role.COORDINATOR: ("TREAT", "HOPERAT"),
        Role.OPERATOR: ("HOPERAT", "PUBHLTH"),
        Role.NATIONAL: ("HOPERAT", "PUBHLTH"),
        Role.AUDITOR: ("HOPERAT",),
        Role.CITIZEN: ("PATRQT", "FAMRQT"),
    }
)
"""For what a role may say it works here, by HL7 v3 PurposeOfUse; the first is taken unless the person chooses.

Treating in an emergency (ETREAT) is not chosen: breaking the glass for one patient says it."""


@dataclass(frozen=True)
class UserPrincipal:
    """A person, signed in. ``facility`` is the code of who employs them, of a citizen: who vouched for them;
    ``session`` names the sign-in, and opens nothing.

    ``verified_at`` is when the person last proved to be there; ``assurance`` how at sign-in or since: ``password``,
    ``mfa`` (password and a second factor) or ``passkey``. ``purpose`` is a code of HL7 v3 PurposeOfUse.
    ``patient`` is the FHIR id of a citizen's own Patient.

    ``scopes`` is the ceiling of a program that acts for this person (``grant`` names what they allowed it, ``program``
    is its client id, ``launch_patient`` the FHIR id of the one patient it is about); None for the person at the hub's
    own pages.
    """

    id: UUID
    login: str
    name: str
    role: Role
    facility: str
    practitioner: UUID | None = None
    specialties: frozenset[str] = frozenset()
    language: str = "vi"
    session: str = field(default="", repr=False)
    verified_at: datetime | None = None
    assurance: str = "password"
    purpose: str = "TREAT"
    patient: str | None = field(default=None, repr=False)
    scopes: frozenset[Scope] | None = None
    launch_patient: str | None = None
    grant: UUID | None = None
    program: str | None = None

    @property
    def address(self) -> str:
        return f"user:{self.id}"


@dataclass(frozen=True)
class StationPrincipal:
    """A station's enrolled device. ``expires`` is when its access token ends."""

    site: str
    device: UUID
    epoch: int = 1
    expires: datetime | None = None

    @property
    def address(self) -> str:
        return f"station:{self.site}"


@dataclass(frozen=True)
class ClientPrincipal:
    """A system of the ministry or a province, with the SMART scopes that its token carries."""

    client_id: str
    scopes: frozenset[Scope] = frozenset()
    expires: datetime | None = None

    @property
    def address(self) -> str:
        return f"client:{self.client_id}"


Principal = UserPrincipal | StationPrincipal | ClientPrincipal


def purpose_of(principal: Principal) -> str | None:
    """Return for what a caller acts (a code of HL7 v3 PurposeOfUse); None where nobody said."""
    match principal:
        case UserPrincipal(role=role, purpose=said):
            return said if said in PURPOSES[role] else PURPOSES[role][0]
        case StationPrincipal():
            return "TREAT"
        case _:
            return None


def place_of(principal: Principal) -> str | None:
    """Return the code of the facility or site for which a caller works."""
    match principal:
        case UserPrincipal(facility=facility):
            return facility
        case StationPrincipal(site=site):
            return site
        case _:
            return None
