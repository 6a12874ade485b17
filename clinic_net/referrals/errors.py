"""What referrals refuse."""

from uuid import UUID

from clinic_net.kernel.errors import Conflict, Forbidden, Invalid, NotFound


class UnknownReferral(NotFound):
    """There is no such referral, or it is not this caller's: the two look alike."""

    code = "unknown-referral"

    def __init__(self, referral: UUID) -> None:
        super().__init__(f"referral {referral} is unknown")


class ReferralNotInThisState(Conflict):
    """Somebody has answered it already, or it is over. ``state`` says where it stands."""

    code = "referral-not-in-state"

    def __init__(self, state: str) -> None:
        super().__init__(f"a referral that is {state} does not allow this")
        self.state = state


class NotTheReceiver(Forbidden):
    """Only the facility that it was sent to answers for a bed and a team."""

    code = "not-the-receiver"

    def __init__(self) -> None:
        super().__init__("only the receiving facility may do that")


class NotACoordinator(Forbidden):
    """Sending a referral to another place is a coordinator's decision."""

    code = "not-a-coordinator"

    def __init__(self) -> None:
        super().__init__("only a coordinator may do that")


class EmergencyMustNotBeRejected(Conflict):
    """A red referral may only be redirected (domain §3.3)."""

    code = "emergency-must-not-be-rejected"

    def __init__(self) -> None:
        super().__init__("an emergency is not rejected: send it on to a place that has room")


class ReasonMissing(Invalid):
    """A refusal or redirection needs one of the coded reasons and, if told so, words."""

    code = "referral-reason-missing"

    def __init__(self) -> None:
        super().__init__("choose one of the reasons and say it in words")


class SamePlace(Invalid):
    """It is sent to where it is already."""

    code = "referral-same-place"

    def __init__(self) -> None:
        super().__init__("the patient is there already, or the referral has been sent there")


class UnknownUrgency(Invalid):
    """Not one of the four colours."""

    code = "unknown-urgency"

    def __init__(self) -> None:
        super().__init__("the urgency is red, orange, yellow or green")
