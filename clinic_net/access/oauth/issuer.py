"""The hub as an authorization server: where it is, what it signs with, how long things last."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc.jwk import ECKey
from pydantic import SecretStr

from clinic_net.access import tokens
from clinic_net.access.errors import InvalidToken
from clinic_net.access.keys import Use, derive
from clinic_net.access.oauth.signing import signing_keys
from clinic_net.kernel.ids import new_id

TOKEN_PATH = "/oauth/token"  # noqa: S105 -- a path


@dataclass(frozen=True)
class Issuer:
    """The hub as an authorisation server: its public address, its key, how long its tokens last.

    ``key_before`` is the key that is being replaced: what it signed is believed until it ends.
    """

    url: str
    key: SecretStr
    lifetime: timedelta
    key_before: SecretStr | None = None

    @property
    def audiences(self) -> list[str]:
        """What a client assertion may be addressed to. Never taken from a request: a stolen one could be replayed."""
        return [self.url + TOKEN_PATH, self.url, self.url + "/"]

    @property
    def fhir(self) -> str:
        """The address of the records."""
        return f"{self.url}/fhir"

    @property
    def signing_keys(self) -> list[ECKey]:
        """The keys of identity tokens, the one that signs first."""
        return signing_keys(self.key, self.key_before)

    def mint(self, claims: tokens.AccessClaims, now: datetime) -> str:
        """Return an access token."""
        key = derive(self.key, Use.ACCESS_TOKEN)
        return tokens.mint(claims, key=key, issuer=self.url, jti=new_id(now), now=now)

    def read(self, token: str, now: datetime) -> tokens.AccessClaims:
        """Return what a valid access token says.

        Raises:
            InvalidToken: not ours, changed, ended, or of another type.
        """
        try:
            return tokens.read(token, key=derive(self.key, Use.ACCESS_TOKEN), issuer=self.url, now=now)
        except InvalidToken:
            if self.key_before is None:
                raise
        return tokens.read(token, key=derive(self.key_before, Use.ACCESS_TOKEN), issuer=self.url, now=now)
