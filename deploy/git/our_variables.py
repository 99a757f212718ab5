"""A plugin of detect-secrets: a value beside one of our own variables, whose names it does not know."""

import re
from typing import ClassVar

from detect_secrets.plugins.base import RegexBasedDetector


class OurVariablesDetector(RegexBasedDetector):
    secret_type = "Value of a sync_assets variable"  # noqa: S105
    denylist: ClassVar = [
        re.compile(
            r"\b(?:KAITEN|WORKSECTION|HUBSPOT|KOMMO|BITRIX|SYNC)_(?:[A-Z0-9]+_)*"
            r"(?:TOKEN|HASH|SECRET|PASSWORD|WEBHOOK_URL)['\"]?\s*[:=]\s*['\"]?((?=[a-zA-Z_./:+~-]*[0-9])[A-Za-z0-9_./:+~-]{12,})"
        )
    ]
