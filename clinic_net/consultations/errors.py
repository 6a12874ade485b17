"""What consultations refuse."""

from uuid import UUID

from clinic_net.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Place


class UnknownConsultation(NotFound):
    """There is no such consultation, or it is not this caller's: the two look alike."""

    code = "unknown-consultation"

    def __init__(self, consultation: UUID) -> None:
        super().__init__(f"consultation {consultation} is unknown")


class UnknownColleague(NotFound):
    """Nobody of this id has ever been on duty."""

    code = "unknown-colleague"

    def __init__(self, user: UUID) -> None:
        super().__init__(f"user {user} has no duty to be rung for")


class AnsweredElsewhere(Conflict):
    """Somebody else was faster. ``by`` is that person's display name."""

    code = "answered-elsewhere"

    def __init__(self, by: str) -> None:
        super().__init__("another doctor has already taken this consultation")
        self.by = by


class NotInThisState(Conflict):
    """The consultation is in a state in which this cannot be done. ``state`` says which."""

    code = "consultation-not-in-state"

    def __init__(self, state: str, wanted: str) -> None:
        super().__init__(f"a consultation that is {state} cannot become {wanted}")
        self.state = state


class NotTheDoctor(Forbidden):
    """Only the doctor who took the consultation may do this."""

    code = "not-the-consulted-doctor"

    def __init__(self) -> None:
        super().__init__("only the doctor who took this consultation may do that")


class UnknownOutcome(Invalid):
    """The decision is none that the network counts."""

    code = "unknown-outcome"

    def __init__(self) -> None:
        super().__init__("the outcome is one of managed_locally, transfer, advice, follow_up")


class NotAConsultationRequest(Invalid):
    """A ServiceRequest of the category ``teleconsultation`` lacks what a consultation needs."""

    code = "not-a-consultation-request"

    def __init__(self, path: str) -> None:
        super().__init__(
            "the request cannot become a consultation",
            places=[Place(path=path, code="required", message="missing or not usable")],
        )


class PrescriptionIncomplete(Invalid):
    """The prescription lacks what Circular 26/2025/TT-BYT asks for; ``places`` says what."""

    code = "prescription-incomplete"


class EmptyDocument(Invalid):
    """A note without a single written section."""

    code = "empty-document"
