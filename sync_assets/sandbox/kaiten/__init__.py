"""Kaiten: boards and cards. The company's records, and the API over them."""
