"""The supervisor, driven through make in a terminal; afterwards /proc is searched for survivors."""
