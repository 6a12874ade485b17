"""What stations push: kept first, applied behind it, answered operation by operation."""
