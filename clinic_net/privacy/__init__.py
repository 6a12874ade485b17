"""What the people whose data this is may ask, and what the hub owes them: requests with deadlines, erasure, breaches.

It acts on identifiers: whoever works here (an operator) decides about a record without being shown any of it.
"""
