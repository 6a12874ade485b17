"""What the hub tells about itself as an authorization server: what works here, no more."""

from clinic_net.access.oauth import dpop
from clinic_net.access.oauth.issuer import TOKEN_PATH
from clinic_net.access.oauth.signing import ALGORITHM

_ASSERTIONS = ["ES256", "ES384", "RS384"]


def _endpoints(address: str) -> dict[str, object]:
    authentication = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    return {
        "authorization_endpoint": f"{address}/oauth/authorize",
        "token_endpoint": address + TOKEN_PATH,
        "introspection_endpoint": f"{address}/oauth/introspect",
        "revocation_endpoint": f"{address}/oauth/revoke",
        "jwks_uri": f"{address}/oauth/jwks",
        "token_endpoint_auth_methods_supported": [*authentication, "none"],
        "token_endpoint_auth_signing_alg_values_supported": _ASSERTIONS,
        "introspection_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": [*authentication, "none"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
    }


def smart_configuration(address: str, issuer: str) -> dict[str, object]:
    """Return the content of ``/fhir/.well-known/smart-configuration`` (SMART App Launch 2.2).

    ``address`` is the hub's as the caller sees it, ``issuer`` the one in identity tokens.
    """
    return {
        "issuer": issuer,
        **_endpoints(address.rstrip("/")),
        "scopes_supported": [
            "openid", "fhirUser", "profile", "launch", "launch/patient", "offline_access", "online_access",
            "patient/*.cruds", "user/*.cruds", "system/*.cruds", "patient/*.read", "user/*.read", "system/*.read",
        ],
        "capabilities": [
            "launch-ehr", "launch-standalone",
            "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
            "sso-openid-connect", "context-banner", "context-ehr-patient", "context-standalone-patient",
            "permission-offline", "permission-online", "permission-patient", "permission-user",
            "permission-v1", "permission-v2",
        ],
    }  # fmt: skip


def openid_configuration(issuer: str) -> dict[str, object]:
    """Return the content of ``/.well-known/openid-configuration`` (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": issuer,
        **_endpoints(issuer),
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid", "fhirUser", "profile", "offline_access", "online_access"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "nonce", "at_hash", "fhirUser", "name",
            "preferred_username",
        ],
    }  # fmt: skip
