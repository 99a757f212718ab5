"""The database when none is configured: a PostgreSQL server that comes with the installation."""

from sync_assets.postgres.embedded import EmbeddedPostgres
from sync_assets.postgres.errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
