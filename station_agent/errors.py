"""What the station refuses, and how the link fails. Messages never hold anything about a patient."""


class StationRefusal(Exception):
    """Something was asked for and is refused. ``code`` is stable; the message is for people."""

    code = "refused"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotEnrolled(StationRefusal):
    """This data directory belongs to no station yet."""

    code = "not-enrolled"


class AlreadyRunning(StationRefusal):
    """Another agent works on this data directory."""

    code = "already-running"


class NewerDatabase(StationRefusal):
    """The database was written by a newer agent; this one would damage it."""

    code = "newer-database"


class OtherComputer(StationRefusal):
    """The keys here were sealed on another computer: a disk or a folder was copied."""

    code = "other-computer"


class SealBroken(StationRefusal):
    """A sealed key cannot be read any more."""

    code = "seal-broken"


class KeyMissing(StationRefusal):
    """There are encrypted records, and no key to them."""

    code = "store-key-missing"


class StoreFull(StationRefusal):
    """The disk has no room, or refuses to write. Nothing of what was to be saved was saved."""

    code = "store-full"


class StoreDamaged(StationRefusal):
    """What the disk gives back is not what was written. The agent sets the store aside and builds it anew."""

    code = "store-damaged"


class StaffRefusal(StationRefusal):
    """Something about accounts was refused. ``code`` is a key of ``words.STAFF``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EnrolmentRefused(StationRefusal):
    """The hub did not register this station. ``code`` is the hub's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class HubUnreachable(StationRefusal):
    """No answer from the hub."""

    code = "hub-unreachable"


class UnknownRecord(StationRefusal):
    """There is no such record on this computer."""

    code = "unknown-record"


class FileNotThere(StationRefusal):
    """The bytes of an attachment cannot be had now."""

    code = "file-not-there"


class LinkError(Exception):
    """The link does not work now. ``retry_after`` is the hub's wish in seconds, or None."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Revoked(LinkError):
    """The hub no longer takes this device."""


class EnvelopeRefused(LinkError):
    """The hub could not read a whole batch (400, 413): it has to be sent in smaller pieces."""
