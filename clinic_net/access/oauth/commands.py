"""``clinic-net client`` and ``clinic-net user link``: programs and links, handled from a terminal."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinic_net.access import service as access
from clinic_net.access.errors import ClientKeysUnusable, ClientMalformed
from clinic_net.access.oauth import outside
from clinic_net.kernel.hub import Hub

_OPERATOR = "operator:terminal"


async def add_client(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Add a system, or a program that acts for people; its secret, if it has one, is shown once."""
    new = access.NewClient(
        arguments.name,
        arguments.scope,
        tuple(arguments.redirect_uri),
        launch_uri=arguments.launch_uri,
        jwks=None if arguments.jwks is None else _keys_in(arguments.jwks),
        public=arguments.public,
        dpop=arguments.dpop,
    )
    async with hub.sessions() as session, session.begin():
        client_id, secret = await access.register_client(session, new, now=hub.now(), by=_OPERATOR)
    told: dict[str, object] = {"client_id": client_id}
    return told if secret is None else {**told, "client_secret": secret}


async def disable_client(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Close a client: its tokens, and all that people allowed it, stop at once."""
    async with hub.sessions() as session, session.begin():
        await access.disable_client(session, arguments.client, by=_OPERATOR, now=hub.now())
    return {"disabled": arguments.client}


async def link_user(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Say whom an outside provider's subject is here, so that they can sign in with it."""
    issuer = arguments.issuer or hub.settings.oidc_issuer
    if issuer is None:
        raise ClientMalformed("no outside provider is configured: name it with --issuer")
    async with hub.sessions() as session, session.begin():
        await outside.link(
            session, arguments.login, issuer=issuer, subject=arguments.subject, by=_OPERATOR, now=hub.now()
        )
    return {"linked": arguments.login, "issuer": issuer}


async def unlink_user(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Take away all links of a person to outside providers."""
    async with hub.sessions() as session, session.begin():
        ended = await outside.unlink(session, arguments.login, by=_OPERATOR, now=hub.now())
    return {"unlinked": arguments.login, "links": ended}


def add_link_arguments(made: argparse.ArgumentParser) -> None:
    """Add what ``user link`` asks for."""
    made.add_argument("login")
    made.add_argument("--subject", required=True, help="what the provider calls them (sub)")
    made.add_argument("--issuer", help="the provider, where it is not the configured one")


def _keys_in(file: Path) -> Mapping[str, Any]:
    """Return the JWK set that a file holds.

    Raises:
        ClientKeysUnusable: it holds none, or cannot be read.
    """
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise ClientKeysUnusable from None
    if not isinstance(found, dict):
        raise ClientKeysUnusable
    return found


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Add what ``client add`` asks for."""
    made.add_argument("name")
    made.add_argument("--scope", required=True, help='SMART scopes, for example "system/*.cruds"')
    made.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="makes it a program that people let act for them; may be given several times",
    )
    made.add_argument("--launch-uri", metavar="URI", help="opens the program from a patient's record")
    made.add_argument("--public", action="store_true", help="a program that can keep no secret")
    made.add_argument("--jwks", type=Path, metavar="FILE", help="its public keys instead of a secret")
    made.add_argument("--dpop", action="store_true", help="its tokens are always bound to a key (RFC 9449)")
