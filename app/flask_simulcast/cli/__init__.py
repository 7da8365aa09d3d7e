"""``flask simulcast …``: look into the log of an app, publish to it and follow it, from a process of its own."""
