"""HTTP and WebSocket of the service: reading requests, writing answers and errors. Imports no feature."""
