"""A seeded company that lives behind faithful copies of its vendors' HTTP APIs, on real sockets.

Promise: what `GET /_world/<system>/<entity>` says is the truth, by construction and without the product's
code, so that Postgres can be compared with it. Nothing here imports the rest of sync_assets: the same wrong
belief held twice would prove nothing.
"""
