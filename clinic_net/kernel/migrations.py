"""Bring a database to the schema of this release."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations


def config(url: str) -> Config:
    """Return Alembic's configuration for a database address (``postgresql+psycopg://…``)."""
    made = Config()
    made.set_main_option("script_location", str(Path(migrations.__file__).parent))
    made.attributes["url"] = url
    return made


def migrate(url: str) -> None:
    """Apply what is missing; nothing when nothing is. Safe to call from several processes at once."""
    command.upgrade(config(url), "head")
