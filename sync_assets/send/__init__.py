"""What goes back to the sources: the outbox, and the loop that delivers it. Knows nothing of Dagster."""
