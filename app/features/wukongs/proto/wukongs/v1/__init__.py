"""The package ``wukongs.v1``: watch, command and report."""
