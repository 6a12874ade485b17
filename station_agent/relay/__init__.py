"""Calls between the nurse's page and the hub: the agent is the hub's half for its pages, and a peer of the hub.

A page speaks ``clinicnet.signal.v1`` to the agent on loopback; the agent repeats what concerns a call over its one
session with the hub. Media does not pass here: it flows between the two pages.
"""
