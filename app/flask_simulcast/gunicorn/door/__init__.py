"""The door of a `StreamWorker`: it accepts connections, answers hot requests, and hands all others to gunicorn untouched."""
