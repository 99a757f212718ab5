"""The one error of the embedded server, in the product's tree: the operator's move."""

from collections.abc import Sequence

from sync_assets.errors import FixConfig


class EmbeddedPostgresError(FixConfig):
    """The embedded PostgreSQL server cannot be used."""

    next_step = "mend that, or set DATABASE_URL to use a server of your own"


def told(what: str, lines: Sequence[str]) -> str:
    """What happened, with the server's own last words."""
    return "".join([what, *(f"\n  {line}" for line in lines)])
