"""The report of a run: its figures, what it says of them, and what it must not say."""
