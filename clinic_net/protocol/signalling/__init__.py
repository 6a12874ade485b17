"""``clinicnet.signal.v1``: messages, and the two halves of the conversation as pure objects."""
