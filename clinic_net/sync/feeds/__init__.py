"""What stations are handed: scopes, their feeds and sums, and the mending of copies."""
