"""What the service costs on this machine. ``scripts/bench`` measures, prints a table and writes JSON.

Each figure stands beside the CPU time that the server spent on it: other work on the machine halves a rate,
and leaves the µs a delivery nearly as they are.
"""
