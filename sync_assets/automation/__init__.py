"""What is to happen when a record changes: rules and sequences, written in YAML. Knows nothing of Dagster."""
