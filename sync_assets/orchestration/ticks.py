"""How long a sensor may watch in one tick."""

TICK_SECONDS = 3.9
"""Dagster starts ticks in slots five seconds apart, all sensors' at once, which takes it half a second and more on two
cores. A tick that is not over when the next slot comes misses it, and its events wait for five seconds."""
