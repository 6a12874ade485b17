"""Proofs of possession, with the examples that RFC 9449 prints."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from clinic_net.access.errors import InvalidProof, ProofNonceNeeded
from clinic_net.access.oauth import dpop
from tests.access.support import NOW

_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
AT_TOKEN_ENDPOINT = (
    f"{_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2Vu"
    "IiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
"""RFC 9449, figure 1."""
AT_RESOURCE = (
    f"{_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90"
    "ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9."
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
"""RFC 9449, figure 12, with its access token and the thumbprint of its key."""
ACCESS_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

URL = "https://hub.example/fhir/Patient/x"
KEY = ECKey.generate_key("P-256")


def proof(key: ECKey = KEY, header: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {"jti": "1", "htm": "GET", "htu": URL, "iat": 1, "nonce": "n", "ath": dpop.token_digest("token")}
    said = {name: value for name, value in (claims | changed).items() if value is not None}
    headers = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)} | (header or {})
    return jwt.encode(headers, said, key, algorithms=["ES256"])


def read(text: str) -> dpop.Proof:
    return dpop.read_proof(text, method="GET", url=URL, token="token")


def test_the_examples_of_the_rfc_are_right() -> None:
    at_token = dpop.read_proof(AT_TOKEN_ENDPOINT, method="POST", url="https://server.example.com/token")
    at_resource = dpop.read_proof(
        AT_RESOURCE, method="GET", url="https://resource.example.org/protectedresource", token=ACCESS_TOKEN
    )

    assert (at_token.jti, at_resource.jti) == ("-BwC3ESc6acc2lTc", "e1j3V_bKic8-LAEB")
    assert at_token.jkt == at_resource.jkt == THUMBPRINT


@pytest.mark.parametrize(
    ("method", "url", "token"),
    [
        ("POST", "https://resource.example.org/protectedresource", ACCESS_TOKEN),
        ("GET", "https://resource.example.org/other", ACCESS_TOKEN),
        ("GET", "http://resource.example.org/protectedresource", ACCESS_TOKEN),
        ("GET", "https://resource.example.org/protectedresource", "another token"),
        ("GET", "https://resource.example.org/protectedresource", None),
    ],
)
def test_a_proof_is_for_one_method_one_address_and_one_token(
    method: str, url: str, token: str | None
) -> None:
    with pytest.raises(InvalidProof):
        dpop.read_proof(AT_RESOURCE, method=method, url=url, token=token)


def test_a_changed_signature_is_no_proof() -> None:
    with pytest.raises(InvalidProof):
        dpop.read_proof(
            AT_TOKEN_ENDPOINT[:-6] + "AAAAAA", method="POST", url="https://server.example.com/token"
        )


@pytest.mark.parametrize(
    "made",
    [
        proof(header={"typ": "JWT"}),
        proof(header={"jwk": KEY.as_dict(private=True)}),
        proof(header={"jwk": ECKey.generate_key("P-256").as_dict(private=False)}),
        jwt.encode({"typ": "dpop+jwt", "alg": "ES256"}, {"jti": "1"}, KEY, algorithms=["ES256"]),
        proof(header={"jwk": {"kty": "oct", "k": "AAAA"}}),
        proof(jti=None),
        proof(jti=""),
        proof(jti=7),
        proof(jti="x" * 121),
        proof(iat=None),
        proof(iat=True),
        proof(nonce=5),
        proof(ath=None),
        proof(ath="x"),
        proof(htm="get"),
        proof(htu=None),
        "",
        "a.b.c",
        "x" * 5000,
    ],
)
def test_what_is_wrong_about_a_proof_is_refused(made: str) -> None:
    with pytest.raises(InvalidProof):
        read(made)


def test_a_proof_with_a_shared_secret_is_none() -> None:
    secret = OctKey.generate_key(256)
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": secret.as_dict()}
    with pytest.raises(InvalidProof):
        read(jwt.encode(header, {"jti": "1"}, secret, algorithms=["HS256"]))


@pytest.mark.parametrize(
    "url",
    [
        "https://hub.example/fhir/Patient/x?name=y#z",
        "HTTPS://HUB.example:443/fhir/Patient/x",
        "https://hub.example/%66hir/Patient/x",
    ],
)
def test_addresses_that_are_alike_are_one(url: str) -> None:
    assert dpop.normal_url(url) == URL
    assert read(proof(htu=url)).jti == "1"


def test_a_nonce_is_good_for_two_minutes_on_any_node() -> None:
    key = b"k" * 32
    nonce = dpop.make_nonce(key, NOW)

    for later in (0, 59, 120):
        dpop.check_nonce(nonce, key=key, now=NOW + timedelta(seconds=later))
    for later in (-60, 180, 86_400):
        with pytest.raises(ProofNonceNeeded):
            dpop.check_nonce(nonce, key=key, now=NOW + timedelta(seconds=later))
    with pytest.raises(ProofNonceNeeded):
        dpop.check_nonce(nonce, key=b"other" * 7, now=NOW)


@given(st.text(max_size=40))
def test_no_text_is_taken_for_a_nonce_or_breaks_the_check(text: str) -> None:
    with pytest.raises(ProofNonceNeeded):
        dpop.check_nonce(text, key=b"k" * 32, now=NOW)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_proofs(text: str) -> None:
    with pytest.raises(InvalidProof):
        read(text)
