"""The faults of faults.md, one test or more per row; a test bears its row's id in its name."""
