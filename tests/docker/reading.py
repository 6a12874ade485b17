"""Reads ``docker/`` the way Docker would, as far as the tests need it."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\})")


class Unset(Exception):
    """The compose file needs a variable that was not given."""


def interpolate(text: str, given: Mapping[str, str]) -> str:
    """Replace ``${NAME}``, ``${NAME:-default}``, ``${NAME:?why}`` and ``$$`` as compose does."""

    def value(found: "re.Match[str]") -> str:
        if found["escaped"]:
            return "$"
        known = given.get(found["name"], "")
        if known or not found["kind"]:
            return known
        if found["kind"] == ":?":
            raise Unset(found["name"])
        return str(found["rest"])

    return _VARIABLE.sub(value, text)


def _interpolated(node: Any, given: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolate(node, given)
    if isinstance(node, list):
        return [_interpolated(each, given) for each in node]
    if isinstance(node, dict):
        return {key: _interpolated(each, given) for key, each in node.items()}
    return node


def example() -> dict[str, str]:
    """Return the variables of ``docker/example.env``."""
    lines = (DOCKER / "example.env").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def compose(given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the compose file, with anchors and variables replaced."""
    yaml = import_module("yaml")  # has no types
    read: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return dict(_interpolated(read, example() if given is None else given))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return each instruction of a Dockerfile: its name and its words, continued lines joined."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    lines = (line.strip() for line in text.splitlines())
    words = (line.split(None, 1) for line in lines if line and not line.startswith("#"))
    return [(name.upper(), rest) for name, rest in words]
