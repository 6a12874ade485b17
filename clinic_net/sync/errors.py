"""What the synchronisation refuses; everything else is an answer for one operation."""

from clinic_net.kernel.errors import Forbidden, Invalid, NotFound, TooLarge, Unauthenticated, Unavailable


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


class UnknownCoding(Invalid):
    """The body's ``Content-Encoding`` is none that this hub reads, or its dictionary is not here: send it with
    another."""

    code = "unknown-coding"
    status = 415

    def __init__(self) -> None:
        super().__init__("the body is compressed in a way that this hub does not read")


class BatchNotSigned(Invalid):
    """A batch of form 2 came without ``Sync-Signature``."""

    code = "batch-not-signed"
    status = 400

    def __init__(self) -> None:
        super().__init__("a batch is signed by its device")


class BatchSignatureWrong(Forbidden):
    """The signature is not the device's, or not of this batch. Nothing of it was kept."""

    code = "batch-signature-wrong"

    def __init__(self) -> None:
        super().__init__("the signature of the batch is not that of its device")


class NotAppliedYet(Unavailable):
    """The operations are kept and not applied yet: send the same again for their answers."""

    code = "not-applied-yet"

    def __init__(self) -> None:
        super().__init__("what was sent is kept; its answers are not ready yet")


class UnknownScope(NotFound):
    """The station has no such scope, or there is no such copy of it."""

    code = "sync-unknown-scope"

    def __init__(self) -> None:
        super().__init__("there is nothing of this name for this station")


class NoSuchMove(NotFound):
    """There is no such move, or not in this operator's reach."""

    code = "sync-unknown-move"

    def __init__(self) -> None:
        super().__init__("there is no such move")


class NowhereToMove(Invalid):
    """Patients can only go to another site."""

    code = "sync-move-to-itself"

    def __init__(self) -> None:
        super().__init__("patients go to another site than the one they are at")


class ProofWrong(Unauthenticated):
    """The device did not prove that it has its key, or there is none such."""

    code = "sync-proof-wrong"

    def __init__(self) -> None:
        super().__init__("this is not signed by a device that is known here")
