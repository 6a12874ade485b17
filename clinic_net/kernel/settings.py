"""The hub's settings, from ``CLINIC_NET_*`` variables or from the embedded services of a data directory."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _seconds(given: object) -> object:
    """Take a bare number in a variable as seconds; pydantic reads only numbers that are no text so."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""``PT30S`` or a number of seconds."""


class HubSettings(BaseSettings):
    """Settings of a hub process.

    A secret has no default: a hub that starts with a well-known key is worse than one that does not start.
    A duration is a ``timedelta`` (:data:`Duration`), so no name needs a unit.
    """

    model_config = SettingsConfigDict(env_prefix="CLINIC_NET_", env_file=None, frozen=True, extra="forbid")

    database: str
    """SQLAlchemy address of PostgreSQL 15 or newer, ``postgresql+psycopg://…``."""

    redis: str
    """Address of Redis or Valkey, ``redis://…`` or ``unix://…``. It may vanish at any moment."""

    token_key: SecretStr = Field(min_length=32)
    """Signs access tokens, enrolment codes and cursors."""

    token_key_before: SecretStr | None = Field(default=None, min_length=32)
    """The key that ``token_key`` took the place of: what it signed still counts, nothing new is signed with it."""

    turn_secret: SecretStr = Field(min_length=16)
    """Shared with coturn (``use-auth-secret``): time-limited TURN credentials are made from it."""

    turn_urls: tuple[str, ...] = ("turn:127.0.0.1:3478?transport=udp",)
    """TURN addresses offered to every call, best first."""

    stun_urls: tuple[str, ...] = ()

    turn_lifetime: Duration = timedelta(hours=1)
    """How long a TURN credential is valid; a call that outlives it asks for another."""

    public_url: str = "http://127.0.0.1:8080"
    """What browsers and stations call this hub; cookies are ``Secure`` when it is https."""

    follow_host: bool = False
    """Whether FHIR links are made for the host that was asked instead of ``public_url``; ``serve`` switches it on
    where nobody configured a ``public_url``. Tokens and cursors depend on neither."""

    cors_origins: tuple[str, ...] = ()
    """Origins (``https://app.example``) whose pages may use ``/fhir`` with a token; none by default."""

    database_pool: int = Field(default=10, ge=2)
    """Connections of one process. Requests beyond it wait ``database_wait``, then get 503."""

    database_wait: Duration = timedelta(seconds=10)

    session_lifetime: Duration = timedelta(hours=12)
    """A person signs in once per shift."""

    access_token_lifetime: Duration = timedelta(seconds=300)
    """SMART backend services: access tokens SHOULD NOT exceed 300 s."""

    ring_tier_after: Duration = timedelta(seconds=30)
    """The next tier is rung after this long without an answer (telestroke practice: 2 min to a person)."""

    signal_resume_within: Duration = timedelta(seconds=180)
    """A signalling session that lost its socket may come back within this time and miss nothing."""

    revocation_check_every: Duration = timedelta(seconds=4)
    """How often a node asks whether the owners of its open sockets may still hold them (promise: 10 s)."""

    rate_person: int = Field(default=30_000, ge=0)
    """Points a person may draw in a minute: a read costs 1, a write 5, a bundle or a whole record 20. 0: no limit."""

    rate_station: int = Field(default=30_000, ge=0)
    """Points a station may draw in a minute; a fifth is kept for its urgent lane."""

    rate_client: int = Field(default=6_000_000, ge=0)
    """Points a system client may draw in a minute at one process."""

    rate_address: int = Field(default=30_000, ge=0)
    """Points that requests without a credential may draw in a minute from one address, which may be a province's."""

    record_retention: Duration = timedelta(days=3653)
    """How long the law has a record kept after the last thing in it: ten years, until counsel says otherwise."""

    holidays: tuple[date, ...] = ()
    """Days off beyond those of ``privacy.calendar``: what the government decided since, ``["2027-02-11"]``."""

    log_json: bool = True

    data: Path | None = None
    """Data directory of the embedded services, when they are used."""
