"""The environment, and nothing else, becomes typed settings. A `.env` file in the working folder is part of it.

Decision: no pydantic-settings. Whatever it is given, it looks for the rest in the process environment by the bare names
of the fields, so that somebody else's RATE or WEBHOOK_SECRET would become ours; and it takes ten times as long.

NAME_FILE stands for each of our variables NAME: what the file of that path holds is its value. A path is never shown,
for whoever mixes the two up has written the secret itself there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from sync_assets.addresses import host_of, safe_url
from sync_assets.alert_settings import AlertSettings
from sync_assets.errors import FixConfig, MissingSetting
from sync_assets.upkeep_settings import UpkeepSettings

T = TypeVar("T", bound=BaseModel)

FORMER_NAMES = dict.fromkeys(
    (
        "NEXT_PUBLIC_SUPABASE_URL",
        "NEXT_PUBLIC_SUPABASE_ANON_KEY",
        "SUPABASE_URL",
        "SUPABASE_KEY",
        "SUPABASE_SERVICE_ROLE_KEY",
    ),
    "DATABASE_URL",
)
"""Variables of older set-ups: Supabase's REST address and keys give way to its Postgres connection string."""


FROM_FILE = "_FILE"
ENV_FILE = "SYNC_ASSETS_ENV_FILE"
SYSTEMS_FOLDER = Path(__file__).with_name("systems")
SYSTEM_NAMES = sorted(path.parent.name for path in SYSTEMS_FOLDER.glob("*/__init__.py"))
OURS = re.compile(rf"(DATABASE_URL|(SYNC|{'|'.join(SYSTEM_NAMES).upper()})_[A-Z0-9_]+){FROM_FILE}")
"""Variables that name a file of ours; others of that form (SSL_CERT_FILE) belong to other programs."""
LARGEST_SECRET = 65_536


SHORTEST_HOURS, LONGEST_HOURS = 0.05, 87_600.0
"""What is called fresh: from three minutes, below which no run gets through, to ten years."""


class SyncSettings(AlertSettings, UpkeepSettings):
    """What holds for every account."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    database_url: SecretStr | None = None
    sync_owner_database_url: SecretStr | None = None
    """For migrate and roles alone: the same database, as whoever owns its tables. Not set: DATABASE_URL."""
    sync_batch_size: int = 2000
    """Records per commit, at least; a commit holds whole pages."""
    sync_overlap_seconds: int = 300
    """How far before its watermark an incremental sync starts."""
    sync_max_minutes: float = 180.0
    """An entity that is read for longer ends its run; the next one goes on from there."""
    sync_max_wait_seconds: float = 120.0
    """A longer pause than this, asked for by a source, fails the entity instead of blocking the run."""
    sync_retries: int = 5
    """Tries of one request that fails for reasons that pass."""
    sync_request_seconds: float = 60.0
    """Deadline of one request, from its first byte to the last of the answer."""
    sync_lease_seconds: int = 60
    """An entity whose sync has not committed for this long may be taken over."""
    sync_fuse_percent: float = 30.0
    """A sync that would delete more than this share of an entity (and more than 10 rows) deletes nothing."""
    sync_fresh_hours: float = Field(13.0, ge=SHORTEST_HOURS, le=LONGEST_HOURS)
    """An entity that was last synced longer ago than this is stale: two schedules of six hours and one to run. Past
    60 % of it, it is late."""
    sync_full_days: float = Field(15.0, ge=0.1, le=LONGEST_HOURS / 24)
    """So is one that was last read whole longer ago than this: two schedules of a week and one day. Some deletions are
    noticed by full syncs only."""
    sync_webhook_attempts: int = 12
    """Tries of a record that fails by itself, before its events are given up for dead."""
    sync_webhook_days: float = 30.0
    """How long events that were worked off stay in the inbox; dead ones stay three times as long."""
    sync_webhook_payload_days: float = 7.0
    """How long what a webhook sent is kept after its event was worked off."""
    sync_database_wait_seconds: float = 60.0
    """How long a commit waits for a Postgres that went away."""
    sync_way_back: Literal["off", "dry", "on"] = "off"
    """Whether what is changed here is written to its source; dry says what would be. Off until somebody asks for it:
    tokens that read may often write too, and a first mistake would be made in the shop itself."""
    sync_way_back_fuse_records: int = 200
    """More records than this to be written within an hour, of one account, wait for a person's release."""
    sync_way_back_fuse_percent: float = 30.0
    """So do more than this share of an entity's records (and more than 10)."""
    sync_way_back_attempts: int = 8
    """Tries of one change before it is given up."""
    sync_outbox_days: int = 90
    """How long what was written back, or was not, is remembered."""
    sync_http_allow: str = ""
    """Whom http_post may call: hosts, with their port if it is not 443, separated by commas; nobody else."""
    sync_automation_folder: Path = Path("automation")
    """Where rules and sequences are: rules/*.yaml and sequences/*.yaml. Without it, nothing happens by itself."""
    sync_automation_days: int = 30
    """How long it is remembered what happened to records; their content before and after is in it."""
    sync_public_url: str = ""
    """The https address under which vendors reach the receiver, without /webhooks."""
    sync_receiver_host: str = "127.0.0.1"
    sync_receiver_port: int = 8401
    sync_receiver_seconds: float = 10.0
    """How long one request may take to arrive, and how long a connection may say nothing."""
    sync_receiver_connections: int = 1000
    """Of more connections at once the one that has been idle or slow for longest is closed."""
    sync_receiver_commit_seconds: float = 1.0
    """A webhook that Postgres has not committed by then goes to the spool: Kommo waits 2 s for its answer."""
    sync_spool_folder: Path = Path(".sync_assets/spool")
    """Where webhooks are kept while Postgres is away; they hold personal data."""
    sync_spool_megabytes: float = 512.0
    """A spool of this size takes nothing more: vendors get a 503."""

    @property
    def owner_url(self) -> SecretStr | None:
        return self.sync_owner_database_url or self.database_url

    @property
    def http_hosts(self) -> frozenset[str]:
        return frozenset(host.strip() for host in self.sync_http_allow.split(",") if host.strip())

    @property
    def webhook_payload_days(self) -> float:
        """How long what a webhook sent outlives its event."""
        return self.sync_webhook_payload_days if self.sync_evidence == "keep" else 0.0

    @field_validator("sync_http_allow")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for host in filter(None, map(str.strip, value.split(","))):
            if "/" in host:
                raise ValueError("hosts are named without https:// and without a path")
            safe_url(f"https://{host}", setting="SYNC_HTTP_ALLOW")
        return value

    @field_validator("sync_public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        return safe_url(value, setting="SYNC_PUBLIC_URL") if value else value

    @field_validator("sync_alert_slack_url")
    @classmethod
    def _slack_url(cls, value: SecretStr | None) -> SecretStr | None:
        return SecretStr(safe_url(value.get_secret_value(), setting="SYNC_ALERT_SLACK_URL")) if value else None

    @field_validator("sync_alert_telegram_url")
    @classmethod
    def _telegram_url(cls, value: str) -> str:
        return safe_url(value, setting="SYNC_ALERT_TELEGRAM_URL")


class AccountSettings(BaseModel):
    """What one account of a system needs. Subclasses name the variables; secrets are SecretStr."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_default=True)

    where: ClassVar[Mapping[str, str]] = {}
    """Where a person finds each required value."""
    former: ClassVar[Mapping[str, str]] = {}
    """Variables of older set-ups, and the field that each is now."""
    ways: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Ways to prove who we are, each with its fields: exactly one of them, whole. The first is the usual one."""

    address: ClassVar[str] = ""
    """The field with the address that the secrets of `sent_there` go to."""
    sent_there: ClassVar[tuple[str, ...]] = ()

    rate: float | None = None
    """Requests per second instead of the documented limit; 0 for none."""
    fresh_hours: str = ""
    """Hours after which its entities are stale, instead of SYNC_FRESH_HOURS: 24, or cards=2, or 24,cards=2,tags=200."""

    @field_validator("fresh_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        hours_by_name(value)
        return value

    def options(self) -> dict[str, Any]:
        return {}

    def secrets(self) -> tuple[str, ...]:
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr) and v.get_secret_value())

    def sent(self) -> dict[str, tuple[str, str]]:
        """By setting: the host that it is sent to, and the secret; those that stay here are not in it."""
        host = host_of(getattr(self, self.address)) if self.address else ""
        return {name: (host, getattr(self, name).get_secret_value()) for name in self.sent_there}

    def token_ends(self) -> datetime | None:
        """When a token that is not renewed ends, where it tells."""
        return None

    @classmethod
    def begun(cls, given: Collection[str]) -> list[tuple[str, ...]]:
        """Of each way that the fields of `given` belong to, those that are given."""
        own = [tuple(name for name in way if name in given) for way in cls.ways]
        return [names for names in own if names]

    @classmethod
    def required(cls, given: Collection[str] = ()) -> tuple[str, ...]:
        """The fields without which an account is none; of its ways the one that `given` has begun."""
        always = tuple(name for name, f in cls.model_fields.items() if f.is_required())
        way = next((way for way in cls.ways if not set(way).isdisjoint(given)), (*cls.ways, ())[0])
        return (*always, *way)


def environment() -> dict[str, str]:
    """The process environment over the file `.env` of the working folder. Empty values count as not set.

    NAME_FILE is not in it: its NAME is. SYNC_ASSETS_ENV_FILE names another file than `.env`; /dev/null for none.
    Raises FixConfig where NAME and NAME_FILE are both set, MissingSetting for a file that cannot be read or is empty.
    """
    merged = {**dotenv_values(os.environ.get(ENV_FILE) or Path.cwd() / ".env"), **os.environ}
    found = {name: value for name, value in merged.items() if value}
    for name in [name for name in found if OURS.fullmatch(name) and name != ENV_FILE]:
        stands_for = name.removesuffix(FROM_FILE)
        if stands_for in found:
            raise FixConfig(f"{stands_for} and {name} are both set", next_step=f"unset {stands_for} or {name}")
        found[stands_for] = _content(name, found.pop(name))
    return found


def _content(name: str, path: str) -> str:
    """What the file holds, without the end of its last line."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_SECRET + 1)
        value = content.decode("utf-8-sig").rstrip("\r\n")
        wrong = "is too large for a secret" if len(content) > LARGEST_SECRET else "" if value.strip() else "is empty"
    except (OSError, ValueError) as e:
        # Neither the path nor what was read may come along.
        value, wrong = "", f"cannot be read ({type(e).__name__})"
    if wrong:
        raise MissingSetting(
            f"the file that {name} names {wrong}",
            next_step=f"set {name} to the path of a readable file that holds {name.removesuffix(FROM_FILE)}",
        )
    return value


def sync_settings(env: Mapping[str, str] | None = None) -> SyncSettings:
    env = environment() if env is None else env
    return typed(SyncSettings, "", env)


def hours_by_name(value: str) -> dict[str, float]:
    """The numbers of a setting like 24,cards=2; what holds for all is under "". Raises ValueError for anything else."""
    found: dict[str, float] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        name, _, number = part.rpartition("=")
        name = name.strip()
        try:
            hours = float(number)
        except ValueError:
            hours = 0.0
        if not SHORTEST_HOURS <= hours <= LONGEST_HOURS or name in found or not re.fullmatch(r"[a-z0-9_]*", name):
            raise ValueError("write hours (24), hours of one entity (cards=2), or both with commas between, each once")
        found[name] = hours
    return found


def typed(cls: type[T], prefix: str, env: Mapping[str, str]) -> T:
    """The settings whose variables begin with `prefix`. Raises MissingSetting for a value that is not valid."""
    values = {n: env[prefix + n.upper()] for n in cls.model_fields if prefix + n.upper() in env}
    try:
        return cls.model_validate(values)
    except ValidationError as e:
        wrong = ", ".join(f"{prefix}{str(x['loc'][0]).upper()}: {x['msg']}" for x in e.errors(include_input=False))
    raise MissingSetting(f"a setting is not valid: {wrong}", next_step="correct it in the environment or in .env")
