"""What the migrations leave alone."""


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave procrastinate's own tables to procrastinate."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))
