"""The station's pages on the local network: TLS with a certificate of the station's own, for devices that hold one too.

On loopback who is at the computer signs in with a PIN. On a network the device shows a certificate first: without one,
nothing is spoken, not even the form for the PIN.
"""
