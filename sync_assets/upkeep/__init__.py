"""Upkeep: what nobody needs any more goes, what leads nowhere is reported, and whoever asks for it is forgotten."""
