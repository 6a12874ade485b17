"""Patients go to another site with their records: a family moves, communes are merged."""
