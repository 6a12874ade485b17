"""Two versions of a record: merged, or kept side by side for a person to decide."""
