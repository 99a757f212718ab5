"""From pages of records to rows of Postgres, each commit whole."""
