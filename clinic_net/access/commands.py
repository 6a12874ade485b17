"""What whoever has a shell on the hub does with people's accounts (``clinic-net user …``)."""

import argparse

from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.directory import service as directory
from clinic_net.kernel.hub import Hub

OPERATOR = "operator:terminal"
"""How the audit trail names whoever has a shell on the hub."""


async def add_user(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Add a person who can sign in; the password is shown once."""
    async with hub.sessions() as session, session.begin():
        facility = await directory.facility(session, arguments.facility)
        password = await access.add_user(
            session,
            login=arguments.login,
            role=Role(arguments.role),
            facility=facility.code,
            name=arguments.name or arguments.login,
            specialties=arguments.specialty,
            patient=arguments.patient,
            now=hub.now(),
        )
    return {"login": arguments.login, "password": password}


async def disable_user(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Close a person's account: their sessions end, their sockets close within 10 s."""
    async with hub.sessions() as session, session.begin():
        await access.disable_user(session, arguments.login, by=OPERATOR, now=hub.now())
    return {"disabled": arguments.login}


async def reset_user(arguments: argparse.Namespace, hub: Hub) -> dict[str, object]:
    """Forget a person's second factors and give them a one-time password, shown once."""
    async with hub.sessions() as session, session.begin():
        password = await access.reset_user(session, arguments.login, by=OPERATOR, now=hub.now())
    return {"login": arguments.login, "password": password}


def describe_person(made: argparse.ArgumentParser) -> None:
    """Say what is told of a person whose account is made."""
    made.add_argument("login")
    made.add_argument("--role", required=True, choices=[role.value for role in Role])
    made.add_argument("--facility", required=True, help="facility code, five characters")
    made.add_argument("--name", help="display name")
    made.add_argument("--specialty", action="append", default=[], help="may be given several times")
    made.add_argument("--patient", metavar="ID", help="of a citizen: the FHIR id of their own Patient")
