"""One history of the database's schema. ``clinic-net migrate`` applies it; ``env.py`` sets its limits."""
