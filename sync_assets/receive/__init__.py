"""The process that vendors call: authenticate, bound, store, answer. It knows nothing of Dagster."""
