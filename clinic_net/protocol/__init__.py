"""What hub and station say to each other, and what their browsers say to both.

Standard library and pydantic only. No input or output, no clock, no logging, no environment: time and
randomness come in as arguments. ``README.md`` beside this file is the wire in prose.
"""
