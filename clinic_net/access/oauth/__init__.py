"""The hub as an authorization server: programs that people let act for them, and people whom others vouch for.

OAuth 2.1 and OpenID Connect as SMART App Launch 2.2 profiles them, on Authlib and joserfc. Codes, refresh tokens and
launches are stored as digests and are good once; what a person allowed is one row (a grant), which every access
token names and every request looks up, so that what is revoked ends at once.
"""
