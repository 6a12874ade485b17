"""Attachments: they arrive by tus, are looked at as a whole, and are read with their document."""
