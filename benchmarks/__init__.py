"""What the service costs on this machine. ``scripts/bench`` measures, prints a table and writes JSON.

Each figure comes with the CPU time that the server spent on it. Other work on the machine can halve a rate, but
hardly changes the µs a delivery.
"""
