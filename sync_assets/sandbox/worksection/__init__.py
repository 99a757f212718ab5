"""Worksection: projects and tasks. The company's records, and the API over them."""
