"""Kommo (amoCRM): leads and whoever stands behind them. The company's records, and API v4 over them."""
