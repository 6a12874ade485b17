"""Slots for stations that come back all at once."""
