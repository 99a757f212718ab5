"""Bitrix: a shop behind `/rest/{user}/{secret}/{method}`, PHP habits included."""
