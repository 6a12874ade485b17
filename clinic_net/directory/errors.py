"""What the directory refuses."""

from clinic_net.kernel.errors import NotFound


class UnknownSite(NotFound):
    """No such station site on that date."""

    code = "unknown-site"

    def __init__(self, code: str) -> None:
        super().__init__(f"site {code[:20]} is not in the directory")


class UnknownFacility(NotFound):
    """No such facility."""

    code = "unknown-facility"

    def __init__(self, code: str) -> None:
        super().__init__(f"facility {code[:20]} is not in the directory")


class UnknownAdminUnit(NotFound):
    """No such province or commune on that date."""

    code = "unknown-admin-unit"

    def __init__(self, code: str) -> None:
        super().__init__(f"administrative unit {code[:20]} is not in the directory")
