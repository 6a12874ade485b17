"""The nurse's pages: server-rendered, Vietnamese first, on loopback only.

``guard`` keeps other web sites out, ``render`` and ``words`` turn data into a page in one of two languages, ``pages``
holds the handlers, one module a subject.
"""
