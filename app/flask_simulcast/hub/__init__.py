"""The hub of one worker, and its parts: one noun a file. `hub.Hub` is what others use."""
