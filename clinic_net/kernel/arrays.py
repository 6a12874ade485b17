"""Arrays as PostgreSQL reads them: spelled in one go, where the driver would dump their items one by one."""

from collections.abc import Iterable


def numbers(values: Iterable[float | None]) -> str:
    """Return an array of numbers."""
    return "{" + ",".join(["null" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return an array of texts."""
    quoted = [
        "null" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(quoted) + "}"
