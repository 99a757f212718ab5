"""A job that does nothing: what `dagster job execute` takes for itself."""

import dagster as dg


@dg.op
def nothing() -> None:
    pass


@dg.job
def idle() -> None:
    nothing()


defs = dg.Definitions(jobs=[idle])
