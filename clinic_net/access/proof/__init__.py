"""How a person proves to be who they are, beside the password: an authenticator app, passkeys, recovery codes."""
