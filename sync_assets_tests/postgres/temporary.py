"""A cluster for as long as some tests need it; afterwards nothing of it is left."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sync_assets.postgres import EmbeddedPostgres


@contextmanager
def temporary_postgres(settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(Path(tempfile.mkdtemp(prefix="sync_assets-")), durable=False, settings=settings)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.discard()
