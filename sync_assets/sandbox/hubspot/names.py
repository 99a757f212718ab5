"""HubSpot's object types under all their names, and the numbered kinds of association between them.

The non-obvious decision: names, scopes and numbers are data in one place, so that they can be laid beside the
vendor's tables line by line.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    singular: str
    type_id: str
    created: str
    modified: str
    # Given when no properties are asked for, beside the three that are always there.
    defaults: tuple[str, ...]
    scope: str

    @property
    def always(self) -> tuple[str, str, str]:
        return (self.created, self.modified, "hs_object_id")


_CRM, _ACTIVITY = ("createdate", "hs_lastmodifieddate"), ("hs_createdate", "hs_lastmodifieddate")
_DEAL = ("amount", "closedate", "dealname", "dealstage", "pipeline")

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "contacts", "contact", "0-1", "createdate", "lastmodifieddate", ("email", "firstname", "lastname"),
            "crm.objects.contacts",
        ),
        Kind("deals", "deal", "0-3", *_CRM, _DEAL, "crm.objects.deals"),
        # Engagements sit under the contacts' scope.
        Kind("calls", "call", "0-48", *_ACTIVITY, (), "crm.objects.contacts"),
        Kind("companies", "company", "0-2", *_CRM, ("domain", "name"), "crm.objects.companies"),
    )
}  # fmt: skip
_SPELLINGS = {spelling: kind for kind in KINDS.values() for spelling in (kind.name, kind.singular, kind.type_id)}

OWNERS_SCOPE = "crm.objects.owners.read"
SCOPES = frozenset({OWNERS_SCOPE, *(f"{kind.scope}.{right}" for kind in KINDS.values() for right in ("read", "write"))})

# (from, to) -> the number of the unlabelled association.
ASSOCIATIONS = {
    ("contacts", "deals"): 4, ("deals", "contacts"): 3, ("contacts", "calls"): 193, ("calls", "contacts"): 194,
    ("deals", "calls"): 205, ("calls", "deals"): 206, ("contacts", "companies"): 279, ("companies", "contacts"): 280,
    ("deals", "companies"): 341, ("companies", "deals"): 342, ("calls", "companies"): 182, ("companies", "calls"): 181,
}  # fmt: skip
# Labels that this portal made up; a pair that has one has the unlabelled association too.
LABELS = {
    ("contacts", "deals"): {"Decision maker": 21, "Billing contact": 23},
    ("deals", "contacts"): {"Decision maker": 22, "Billing contact": 24},
}

# GUIDs of how a call ended.
DISPOSITIONS = {
    "Busy": "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "Connected": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "Left live message": "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
    "Left voicemail": "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "No answer": "73a0d17f-1163-4015-bdd5-ec830791da20",
    "Wrong number": "17b47fee-58de-441e-a44c-c6300d46f273",
}


def kind_of(spelling: str) -> Kind | None:
    return _SPELLINGS.get(spelling.lower())


def millis(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def stamp(at: int) -> str:
    """ISO with three digits, or with none where the milliseconds are zero, as a Java `Instant` prints it."""
    seconds, rest = divmod(at, 1000)
    text = f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"
