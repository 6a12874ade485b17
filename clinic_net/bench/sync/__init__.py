"""What the stations' link does, measured from outside: bytes, seconds and memory, beside PouchDB and the floor."""
