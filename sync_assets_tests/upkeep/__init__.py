"""Upkeep: what expires goes, what leads nowhere is told, and who is forgotten is nowhere."""
