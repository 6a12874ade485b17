"""The handlers, one module a subject: read the form, call a use case, show the result."""
