"""The package ``simulcast.v1``: publish and listen."""
