"""Secrets leave no trace in text: they are found by their values, not by the names of fields that might hold them."""

from __future__ import annotations

import base64
import re
import threading
from urllib.parse import quote


class Mask:
    """Removes secrets from text by their values: as they are, percent-encoded and base64-encoded."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Tokens that came to be after the start."""
        if self._secrets.issuperset(secrets):
            return
        with self._lock:
            self._secrets |= set(secrets)
            forms = {
                form
                for s in self._secrets
                for form in (s, quote(s, safe=""), base64.b64encode(s.encode()).decode().rstrip("="))
                if len(form) >= 4
            }
            longest_first = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("***", text) if self._pattern else text
