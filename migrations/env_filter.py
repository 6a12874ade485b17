"""What the migrations leave alone."""


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave procrastinate's own tables to procrastinate, and the trail's partitions to the trail."""
    return not (kind == "table" and name is not None and name.startswith(("procrastinate_", "audit_event_")))
