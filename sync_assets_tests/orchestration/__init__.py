"""What Dagster shows and runs: definitions, runs in process, and runs as a person starts them."""
