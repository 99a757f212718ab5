"""The embedded server, started, joined, killed and started again for real."""
