"""Prepared copies of a scope, in the order of need, for stations that have nothing yet."""
