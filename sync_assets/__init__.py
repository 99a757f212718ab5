"""A company's SaaS data in its own Postgres, true to the source and provably so."""
