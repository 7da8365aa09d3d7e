"""What a broker promises, a file a noun."""
