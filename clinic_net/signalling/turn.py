"""TURN credentials that end by themselves, as coturn's ``use-auth-secret`` expects them.

Source: draft-uberti-behave-turn-rest-00: the user name is ``expiry:user``, the password
``base64(HMAC-SHA1(secret, user name))``. Pure: the time is an argument.
"""

import hmac
from base64 import b64encode
from datetime import datetime, timedelta

from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling.messages import IceServer


def credentials(secret: str, address: str, *, now: datetime, lifetime: timedelta) -> tuple[str, str]:
    """Return user name and password for ``address``, valid until ``now + lifetime``."""
    username = f"{int((now + lifetime).timestamp())}:{address}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, b64encode(digest).decode()


def ice_servers(settings: HubSettings, address: str, *, now: datetime) -> list[IceServer]:
    """Return what a peer hands to its ``RTCPeerConnection``, best first."""
    servers = [IceServer(urls=(url,)) for url in settings.stun_urls]
    if settings.turn_urls:
        username, credential = credentials(
            settings.turn_secret.get_secret_value(), address, now=now, lifetime=settings.turn_lifetime
        )
        servers.append(IceServer(urls=settings.turn_urls, username=username, credential=credential))
    return servers
