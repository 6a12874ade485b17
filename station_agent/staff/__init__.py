"""Who works at this station: accounts and PINs that are checked here, with the network down as well as up.

``rules`` says what a PIN may be and what guessing costs, ``pins`` hashes, ``store`` holds the accounts, ``service`` is
what people do with them, ``sessions`` is who sits at which browser. Without somebody signed in the station keeps its
link and shows nothing about patients.
"""
