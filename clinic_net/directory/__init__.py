"""Provinces, communes, facilities, station sites and practitioners; all of it dated.

A *site* is a physical place with an agent; a *facility* is the legal body it belongs to; both change over
time, and so does geography (34 provinces and 3,321 communes since July 2025, and changes since). Queries
take ``as_of``. Nothing here is about patients, so nothing here takes a scope.
"""
