"""Programs of others, unchanged, against a hub that really runs."""
