"""What administering people refuses."""

from clinic_net.kernel.errors import Conflict, Forbidden, NotFound


class OwnAccount(Forbidden):
    """Nobody administers themselves."""

    code = "own-account"

    def __init__(self) -> None:
        super().__init__("another administrator must do this to your account")


class LastAdministrator(Forbidden):
    code = "last-administrator"

    def __init__(self) -> None:
        super().__init__("this is the last national administrator: make another first")


class SecondPersonNeeded(Forbidden):
    """One administrator alone may not do this; it is asked for, and another approves."""

    code = "second-person-needed"

    def __init__(self) -> None:
        super().__init__("this needs the approval of a second administrator")


class UnknownApproval(NotFound):
    code = "unknown-approval"

    def __init__(self) -> None:
        super().__init__("no such request for approval")


class ApprovalClosed(Conflict):
    """Decided already, or nobody decided in time."""

    code = "approval-closed"

    def __init__(self) -> None:
        super().__init__("this request has been decided or has expired")
