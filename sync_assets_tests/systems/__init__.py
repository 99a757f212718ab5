"""The dialects of the systems: what only one of them does."""
