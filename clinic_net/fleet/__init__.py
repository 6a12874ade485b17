"""The stations as machines: enrolling them, revoking them, knowing how each one is.

What a station reports about itself arrives with every pull of its records; nothing else tells the hub how it is.
A station that has reported nothing for a while is not known to be down: it may have no link.
"""

from clinic_net.fleet import service
from clinic_net.fleet.service import StationState, note_clock, note_copied, report, stations

__all__ = ["StationState", "note_clock", "note_copied", "report", "service", "stations"]
