"""The station's pages on the local network: TLS with a certificate of the station's own, for devices that hold one too.

The pages ask nobody to sign in, because they are on loopback. On a network the device's certificate is the sign-in:
without one, nothing is spoken.
"""
