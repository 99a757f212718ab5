"""What we give to others to install, run as they run it."""
