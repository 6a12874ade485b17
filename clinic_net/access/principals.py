"""Who a request or a socket speaks for."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from clinic_net.access.scopes import Scope


class Role(StrEnum):
    """What a person does here."""

    DOCTOR = "doctor"
    NURSE = "nurse"
    COORDINATOR = "coordinator"
    OPERATOR = "operator"
    AUDITOR = "auditor"


@dataclass(frozen=True)
class UserPrincipal:
    """A person, signed in. ``facility`` is the code of who employs them; ``session`` names the sign-in, and opens
    nothing.

    ``scopes`` is the ceiling of a program that acts for this person (``grant`` names what they allowed it, and
    ``launch_patient`` the FHIR id of the one patient it is about); None for the person at the hub's own pages.
    ``patient`` is the FHIR id of a citizen's own Patient. ``verified_at`` is when they last proved who they are, and
    ``assurance`` how.
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
    patient: str | None = None
    scopes: frozenset[Scope] | None = None
    launch_patient: str | None = None
    grant: UUID | None = None

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
