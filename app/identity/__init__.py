"""Who asks, and what they may do: keys, tokens, and the grant of a request."""
