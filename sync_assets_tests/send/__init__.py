"""The way back: what is set here arrives at the source, once, and comes to rest."""
