"""Tells people what went wrong, once for each cause: what is wrong, who is told when, and through what.

Nothing here knows Dagster: `orchestration.alerts` looks at runs and checks and hands on what it saw.
"""
