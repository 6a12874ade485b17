"""``clinic-net client``: what an operator does to systems and programs from a terminal."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinic_net.access import service as access
from clinic_net.access.errors import ClientKeysUnusable
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
