"""What ``flask simulcast doctor`` looks at: the server's configuration, the log, and a stream as its clients get it.

A check is a function that returns a `Finding`. Each fault that can be found has a row in `faults.FAULTS`, with the wrong line
of a configuration and the right one.
"""
