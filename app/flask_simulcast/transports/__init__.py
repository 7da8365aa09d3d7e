"""How frames reach a client."""
