"""The log in deques."""
