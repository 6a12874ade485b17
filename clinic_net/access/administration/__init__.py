"""Administering people: who may touch whom, and what needs a second administrator."""
