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
    NATIONAL = "national"
    """Administers every province, and the operators; nothing clinical."""
    CITIZEN = "citizen"
    """Somebody whose own record is here, or whose child's."""


@dataclass(frozen=True)
class UserPrincipal:
    """A person, signed in. ``facility`` is the code of who employs them; ``session`` names the sign-in, and opens
    nothing."""

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
