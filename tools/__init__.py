"""What keeps the house: set-up, locks, checks, the browser. Not part of either distribution."""
