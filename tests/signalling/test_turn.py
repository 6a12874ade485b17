"""TURN credentials as coturn checks them."""

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

from clinic_net.kernel.settings import HubSettings
from clinic_net.signalling import turn

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def test_the_user_name_says_when_it_ends_and_whose_it_is() -> None:
    username, credential = turn.credentials(
        "secret", "station:03163-01", now=NOW, lifetime=timedelta(hours=1)
    )

    assert username == f"{int(NOW.timestamp()) + 3600}:station:03163-01"
    assert len(b64decode(credential)) == 20
    assert credential == b64encode(hmac.digest(b"secret", username.encode(), "sha1")).decode()


def test_a_credential_known_from_openssl() -> None:
    # printf '1763780400:user:a' | openssl dgst -sha1 -hmac north -binary | base64
    _, credential = turn.credentials(
        "north", "user:a", now=datetime.fromtimestamp(1763776800, UTC), lifetime=timedelta(hours=1)
    )
    assert credential == "P6TAXsSu9KrKb7wv2OwDM4N5oVY="


def test_every_configured_address_is_offered_best_first() -> None:
    settings = HubSettings(
        database="postgresql+psycopg://x",
        redis="redis://x",
        token_key="t" * 48,
        identifier_key="i" * 48,
        turn_secret="s" * 16,
        turn_urls=("turn:a?transport=udp", "turns:b?transport=tcp"),
        stun_urls=("stun:a",),
    )
    stun, relay = turn.ice_servers(settings, "user:a", now=NOW)

    assert stun.urls == ("stun:a",)
    assert stun.username is None
    assert relay.urls == ("turn:a?transport=udp", "turns:b?transport=tcp")


def test_without_turn_nothing_is_minted() -> None:
    settings = HubSettings(
        database="postgresql+psycopg://x",
        redis="redis://x",
        token_key="t" * 48,
        identifier_key="i" * 48,
        turn_secret="s" * 16,
        turn_urls=(),
    )
    assert turn.ice_servers(settings, "user:a", now=NOW) == []
