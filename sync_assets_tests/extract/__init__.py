"""From requests to pages of records."""
