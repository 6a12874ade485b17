"""What stations may not hold any more, and the receipts they owe for erasing it."""
