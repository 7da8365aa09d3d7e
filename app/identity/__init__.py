"""The identity of a client and its rights: keys, tokens, and the grant of a request."""
