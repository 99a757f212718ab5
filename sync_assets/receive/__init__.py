"""The process that vendors call: authenticate, bound, store, answer. It knows nothing of Dagster.

`connections` bounds, `routes` finds, `app` recognises and answers, `inbox` commits, `spool` keeps what Postgres cannot
take, `server` starts and ends all of it.
"""
