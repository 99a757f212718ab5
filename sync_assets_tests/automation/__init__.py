"""Rules and sequences: change events, conditions, actions, runs."""
