"""What the synchronisation refuses; everything else is an answer for one operation."""

from clinic_net.kernel.errors import Forbidden, Invalid, TooLarge


class NotYourStation(Forbidden):
    """The envelope names another station than the one that signed in."""

    code = "not-your-station"

    def __init__(self) -> None:
        super().__init__("a station speaks only for itself")


class MalformedPush(Invalid):
    """The envelope cannot be read; the operations in it were not looked at."""

    code = "malformed-push"
    status = 400


class PushTooLarge(TooLarge):
    """More than 4 MiB, after decompression: send fewer operations at a time."""

    code = "push-too-large"

    def __init__(self) -> None:
        super().__init__("a push may hold 4 MiB")


class Undecided(Invalid):
    """A question about two versions was left open, or the answers do not go together: take one version as a whole."""

    code = "undecided"

    def __init__(self) -> None:
        super().__init__("choose a version of each field, or one version as a whole")
