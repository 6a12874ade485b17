"""What the fleet refuses."""

from collections.abc import Sequence

from clinic_net.kernel.errors import Invalid, Place


class UnusableSettings(Invalid):
    """Settings for stations that no station could work by."""

    code = "unusable-station-settings"

    def __init__(self, *, places: Sequence[Place]) -> None:
        super().__init__("a setting is unknown, or out of its bounds", places=places)
