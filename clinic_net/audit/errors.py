"""What the audit trail refuses."""

from clinic_net.kernel.errors import Invalid, NotFound, Unavailable


class AuditUnavailable(Unavailable):
    """What cannot be written down does not happen: the record stays closed."""

    code = "audit-unavailable"
    for_all = True

    def __init__(self) -> None:
        super().__init__("the audit trail is away; try again")


class UnknownEvent(NotFound):
    """There is no such event, or not for this caller."""

    code = "unknown-audit-event"

    def __init__(self) -> None:
        super().__init__("there is no such event")


class InvalidAuditSearch(Invalid):
    """A parameter of a search of the trail has a value that cannot be one."""

    code = "invalid-audit-search"
    status = 400


class NotACheckpoint(Invalid):
    """A text is not a checkpoint in C2SP form, or not one of this log."""

    code = "not-a-checkpoint"


class WitnessUnknown(Invalid):
    """A cosignature is of no witness that this hub knows, or does not fit its checkpoint."""

    code = "witness-unknown"


class Inconsistent(Invalid):
    """Two checkpoints are not of one history."""

    code = "checkpoints-inconsistent"
