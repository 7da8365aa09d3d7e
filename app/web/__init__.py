"""How the service speaks HTTP and WebSocket: requests read, answers written, errors told. Knows no feature."""
