"""The hub of one worker, and its parts: one noun a file. Other packages use `hub.Hub`."""
