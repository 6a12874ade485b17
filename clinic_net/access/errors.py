"""What access refuses, and why. Messages are for a clinician or a technician; none says what a secret was."""

from typing import ClassVar

from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Retry,
    Unauthenticated,
    Unavailable,
)


class NotSignedIn(Unauthenticated):
    """No credential came, or its session has ended."""

    code = "not-signed-in"

    def __init__(self) -> None:
        super().__init__("sign in first")


class WrongCredentials(Unauthenticated):
    """The same answer, after the same work, for an unknown login and for a wrong password."""

    code = "wrong-credentials"

    def __init__(self) -> None:
        super().__init__("login or password is wrong")


class NotVouchedFor(Unauthenticated):
    """Whatever was wrong with what an outside provider said, and a subject whom nobody linked, alike."""

    code = "not-vouched-for"

    def __init__(self) -> None:
        super().__init__("the outside sign-in did not succeed, or is linked to no account here")


class LinkTaken(Conflict):
    code = "outside-link-taken"

    def __init__(self) -> None:
        super().__init__("this subject is linked to another account")


class InvalidToken(Unauthenticated):
    """A bearer token that this hub did not issue, or that has ended."""

    code = "invalid-token"

    def __init__(self) -> None:
        super().__init__("the access token is not valid; ask for another")


class CredentialRevoked(Unauthenticated):
    """The device or client behind the token may no longer speak."""

    code = "credential-revoked"

    def __init__(self) -> None:
        super().__init__("this device or client has been revoked")


class RoleNotAllowed(Forbidden):
    """No caller of this kind may ever do this."""

    code = "role-not-allowed"

    def __init__(self) -> None:
        super().__init__("your role does not include this")


class InsufficientScope(Forbidden):
    """The token's scope does not include this type of record or this interaction."""

    code = "insufficient-scope"

    def __init__(self) -> None:
        super().__init__("the granted scope does not include this")


class ConsentNotEnforceable(Invalid):
    """A consent says something that would not be kept here; ``places`` says which part."""

    code = "consent-not-enforceable"


class ConsentToOneself(Forbidden):
    """Whoever writes a consent down may not be the one who is permitted something by it."""

    code = "consent-to-oneself"

    def __init__(self) -> None:
        super().__init__("a consent in your own favour is written down by somebody else")


class ConsentNotYours(Forbidden):
    """What a citizen refused is taken back by them, or by whoever wrote it down for them."""

    code = "consent-not-yours"

    def __init__(self) -> None:
        super().__init__("only the patient, or who wrote this refusal down, takes it back")


class NotFresh(Forbidden):
    """What is asked for needs a fresh proof of being there: the password, or a second factor."""

    code = "not-fresh"

    def __init__(self) -> None:
        super().__init__("confirm first that it is you")


class ReasonRequired(Invalid):
    """A coded reason or outcome, and words, are asked for."""

    code = "reason-required"

    def __init__(self) -> None:
        super().__init__("say why, by a reason of the list and in words")


class UnknownEmergency(NotFound):
    """There is no such opening of a record, or it is not the caller's."""

    code = "unknown-emergency"

    def __init__(self) -> None:
        super().__init__("there is no such opening of a record")


class CrossSite(Forbidden):
    """A page of another site tried to act with this person's cookie."""

    code = "cross-site"

    def __init__(self) -> None:
        super().__init__("the request does not come from a page of this hub")


class SignInBusy(Unavailable):
    """More people sign in than passwords can be checked."""

    code = "sign-in-busy"

    def __init__(self) -> None:
        super().__init__("many people are signing in; try again in a few seconds")


class LoginMalformed(Invalid):
    code = "login-malformed"

    def __init__(self) -> None:
        super().__init__(
            "a login is 2 to 64 of a-z, 0-9, dot, hyphen, underscore, and starts with a letter or digit"
        )


class LoginTaken(Conflict):
    code = "login-taken"

    def __init__(self) -> None:
        super().__init__("this login exists already")


class PasswordWeak(Invalid):
    code = "password-weak"

    def __init__(self, shortest: int, longest: int) -> None:
        super().__init__(f"a password has {shortest} to {longest} characters")


class UnknownUser(NotFound):
    code = "unknown-user"

    def __init__(self) -> None:
        super().__init__("no such user")


class UnknownDevice(NotFound):
    code = "unknown-device"

    def __init__(self) -> None:
        super().__init__("no active device for this site")


class ScopeMalformed(Invalid):
    """Not in the grammar of SMART App Launch 2.2, or a part of it that this hub does not grant."""

    code = "scope-malformed"

    def __init__(self, position: int) -> None:
        super().__init__(
            f"scope {position}: expected <level>/<Type or *>.<c,r,u,d,s in that order>, without a query"
        )


class EnrolmentCodeUnknown(NotFound):
    code = "enrolment-code-unknown"

    def __init__(self) -> None:
        super().__init__(
            "this code does not exist: compare it, character by character, with the one you were given"
        )


class EnrolmentCodeUsed(Conflict):
    code = "enrolment-code-used"

    def __init__(self) -> None:
        super().__init__(
            "this code has been used: a code enrols one device once; ask the operator for a new code"
        )


class EnrolmentCodeExpired(Conflict):
    code = "enrolment-code-expired"

    def __init__(self) -> None:
        super().__init__("this code has expired; ask the operator for a new code")


class EnrolmentCodeReplaced(Conflict):
    code = "enrolment-code-replaced"

    def __init__(self) -> None:
        super().__init__("a newer code was issued for this station: use the newest one")


class DeviceKeyUnusable(Invalid):
    """Not the public part of a P-256 key (RFC 7518 §6.2)."""

    code = "device-key-unusable"

    def __init__(self) -> None:
        super().__init__("the device's key must be the public part of a P-256 key")


class DeviceKeyKnown(Conflict):
    """A copied disk, or a station's data moved to another place."""

    code = "device-key-known"

    def __init__(self) -> None:
        super().__init__("this key was enrolled before: delete the station's key so that it makes a new one")


class EnrolmentProofWrong(Invalid):
    """The device does not hold the private key that belongs to its public key."""

    code = "enrolment-proof-wrong"

    def __init__(self) -> None:
        super().__init__("the proof is not this code signed (ES256) with the device's own key")


class OAuthRefusal(Exception):
    """Mixed into what the token endpoint refuses: RFC 6749 §5.2 names the error on the wire."""

    oauth_error: ClassVar[str]


class InvalidRequest(OAuthRefusal, Invalid):
    code = "oauth-invalid-request"
    oauth_error = "invalid_request"


class InvalidClient(OAuthRefusal, Unauthenticated):
    code = "oauth-invalid-client"
    oauth_error = "invalid_client"

    def __init__(self, message: str = "client authentication failed") -> None:
        super().__init__(message)


class UnauthorizedClient(OAuthRefusal, Invalid):
    code = "oauth-unauthorized-client"
    oauth_error = "unauthorized_client"

    def __init__(self) -> None:
        super().__init__("this client is not registered for that way")


class UnsupportedTokenType(OAuthRefusal, Invalid):
    """RFC 7009 §2.2.1: a system's own access token is not stored anywhere; it ends by itself within minutes."""

    code = "oauth-unsupported-token-type"
    oauth_error = "unsupported_token_type"

    def __init__(self) -> None:
        super().__init__(
            "a system's access token cannot be revoked: it ends within minutes; disable the client"
        )


class AssertionOutOfTime(InvalidClient):
    """The assertion's time and the hub's differ too much; the answer carries the hub's time."""

    code = "oauth-assertion-out-of-time"
    retry = Retry.LATER

    def __init__(self) -> None:
        super().__init__("the assertion has expired or lasts too long: compare your clock with server_time")


class AssertionReplayed(InvalidClient):
    code = "oauth-assertion-replayed"

    def __init__(self) -> None:
        super().__init__("an assertion with this jti was used before")


class DeviceRevoked(InvalidClient):
    """Told only to who proved to hold the device's key."""

    code = "oauth-device-revoked"

    def __init__(self) -> None:
        super().__init__("this device has been revoked; it must be enrolled again")


class UnsupportedGrantType(OAuthRefusal, Invalid):
    code = "oauth-unsupported-grant-type"
    oauth_error = "unsupported_grant_type"

    def __init__(self) -> None:
        super().__init__("granted are authorization_code, refresh_token and client_credentials")


class ClientKeysUnusable(Invalid):
    """Not a JWK set of public keys that SMART's asymmetric authentication uses."""

    code = "client-keys-unusable"

    def __init__(self) -> None:
        super().__init__(
            "the keys must be a JWK set of 1 to 10 public keys, P-256, P-384 or RSA of 2048 bits or more, each with"
            " a kid of its own"
        )


class ClientMalformed(Invalid):
    """A program cannot be registered in this way."""

    code = "client-malformed"


class UnknownClient(NotFound):
    code = "unknown-client"

    def __init__(self) -> None:
        super().__init__("no such client")


class AuthorizationRefused(Invalid):
    """A program's request to act for a person. ``location`` leads back to the program; None where its address is
    not known to be its own, so that nobody is led anywhere."""

    code = "oauth-authorization-refused"

    def __init__(self, message: str, *, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location


class InvalidProof(OAuthRefusal, Unauthenticated):
    """RFC 9449 §5 and §7.1: what proves that the caller holds the token's key is missing or wrong."""

    code = "dpop-proof-invalid"
    oauth_error = "invalid_dpop_proof"

    def __init__(self, message: str = "the DPoP proof is missing or wrong", *, nonce: str = "") -> None:
        super().__init__(message)
        self.nonce = nonce


class ProofNonceNeeded(InvalidProof):
    """RFC 9449 §8: the answer carries the nonce to put into the next proof."""

    code = "dpop-nonce-needed"
    oauth_error = "use_dpop_nonce"
    retry = Retry.LATER

    def __init__(self, *, nonce: str = "") -> None:
        super().__init__("repeat with the nonce of the answer's DPoP-Nonce header", nonce=nonce)


class InvalidScope(OAuthRefusal, Invalid):
    code = "oauth-invalid-scope"
    oauth_error = "invalid_scope"

    def __init__(self) -> None:
        super().__init__("nothing of the scope asked for can be granted to this client")
