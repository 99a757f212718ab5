"""From a system's API to pages of undecoded records."""
