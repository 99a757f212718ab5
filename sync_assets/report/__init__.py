"""What a run did, how that compares with the runs before it, and what follows: from the ledger, without Dagster."""
