"""The hub's settings, from ``CLINIC_NET_*`` variables or from the embedded services of a data directory."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

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
    """The token key that ``token_key`` replaces: what it signed still counts, and its public key is still published."""

    identifier_key: SecretStr = Field(min_length=32)
    """Wraps the data keys that seal what is never kept readable: national identifiers. Without it they are lost."""

    identifier_key_before: SecretStr | None = Field(default=None, min_length=32)
    """The key that ``identifier_key`` replaces, until every process runs with the new one."""

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

    oidc_issuer: str | None = None
    """An outside OpenID Connect provider that people may sign in with, exactly as it names itself."""

    oidc_client_id: str = ""
    """What the outside provider calls this hub."""

    oidc_client_secret: SecretStr | None = None
    """Shared with the outside provider; without it the hub is a public client, with PKCE either way."""

    oidc_name: str = ""
    """What people call the outside provider; on the button."""

    oidc_hosts: tuple[str, ...] = ()
    """Hosts (with a port where it is not 443) that the hub calls for the provider besides the issuer's own."""

    oidc_strong_acr: tuple[str, ...] = ()
    """The provider's ``acr`` values that stand for two factors; with any other a person counts as with a password."""

    outgoing_loopback: bool = False
    """Whether the outside provider may be on this computer, over plain HTTP: for trying out, never in production."""

    cors_origins: tuple[str, ...] = ()
    """Origins (``https://app.example``) whose pages may use ``/fhir`` with a token; none by default."""

    database_pool: int = Field(default=10, ge=2)
    """Connections of one process. Requests beyond it wait ``database_wait``, then get 503."""

    database_wait: Duration = timedelta(seconds=10)

    session_lifetime: Duration = timedelta(hours=12)
    """A person signs in once per shift (NIST SP 800-63B-4 §2.2.3: at most 24 hours for two factors)."""

    session_idle: Duration = timedelta(hours=1)
    """A session that nothing uses this long ends (NIST SP 800-63B-4 §2.2.3: one hour; ASVS 5.0 §7.3.1). A doctor's
    open page is use."""

    session_lifetime_admin: Duration = timedelta(hours=8)
    """Of operators, national administrators and auditors: a working day (NIST SP 800-63B-4 §2.3.3: 12 hours)."""

    session_idle_admin: Duration = timedelta(minutes=15)
    """As ``session_idle``, for them (NIST SP 800-63B-4 §2.3.3: 15 minutes); a page that asks by itself is no use."""

    mfa_roles: tuple[
        Literal["doctor", "nurse", "coordinator", "operator", "auditor", "national", "citizen"], ...
    ] = ("coordinator", "operator", "auditor", "national")
    """Who must have a second factor. Everybody may; who must and has none sets one up at the next sign-in."""

    access_token_lifetime: Duration = timedelta(seconds=300)
    """SMART backend services: access tokens SHOULD NOT exceed 300 s."""

    ring_tier_after: Duration = timedelta(seconds=30)
    """The next tier is rung after this long without an answer (telestroke practice: 2 min to a person)."""

    signal_resume_within: Duration = timedelta(seconds=180)
    """A signalling session that lost its socket may come back within this time and miss nothing."""

    revocation_check_every: Duration = timedelta(seconds=4)
    """How often a node asks whether the owners of its open sockets may still hold them (promise: 10 s)."""

    audit_addresses: bool = True
    """Whether the audit trail keeps the network address of whoever acted."""

    audit_years: int = Field(default=10, ge=1)
    """How long audit events are kept: no shorter than the records that they tell of (Law 2009 art. 59: 10 years)."""

    audit_key: SecretStr | None = Field(default=None, min_length=32)
    """Signs the audit trail's checkpoints; without it the key is derived from ``token_key``."""

    audit_witnesses: tuple[str, ...] = ()
    """Public keys of those who countersign checkpoints, as C2SP verifier keys (``name+id+key``)."""

    rate_person: int = Field(default=30_000, ge=0)
    """Points a person may draw in a minute: a read costs 1, a write 5, a bundle or a whole record 20. 0: no limit."""

    rate_station: int = Field(default=30_000, ge=0)
    """Points a station may draw in a minute; a fifth is kept for its urgent lane."""

    rate_client: int = Field(default=6_000_000, ge=0)
    """Points a system client may draw in a minute at one process."""

    rate_address: int = Field(default=30_000, ge=0)
    """Points that requests without a credential may draw in a minute from one address, which may be a province's."""

    sync_rate: float = Field(default=150.0, ge=0)
    """Conversations of stations that may begin in a second, at all nodes together; others are given a slot. 0:
    no limit."""

    sync_burst: float = Field(default=600.0, ge=1)
    """Conversations that may begin at once after a quiet time."""

    sync_reserve: float = Field(default=0.05, gt=0, lt=1)
    """Part of ``sync_rate`` that is kept for what is urgent."""

    record_retention: Duration = timedelta(days=3653)
    """How long the law has a record kept after the last thing in it: ten years, until counsel says otherwise."""

    holidays: tuple[date, ...] = ()
    """Days off beyond those of ``privacy.calendar``: what the government decided since, ``["2027-02-11"]``."""

    log_json: bool = True

    files: Path | None = None
    """Directory, shared by every node, where parts of uploads wait to become whole; below ``data`` if not given."""

    sms_number: str = Field(default="", pattern=r"^(\+?[0-9]{3,15})?$")
    """The number of the gateway to which stations send an SMS when an urgent request cannot leave otherwise."""

    data: Path | None = None
    """Data directory of the embedded services, when they are used."""
