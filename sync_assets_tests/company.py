"""A sandbox and a Postgres side by side: sync one into the other, then hold the two against each other.

`assert_world_equals_postgres` is the one notion of "in step" that contract, faults, crashes and demo share.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from psycopg2 import sql

from sync_assets.account import Account, connected_accounts
from sync_assets.entity import Entity, Whole, in_sync_order
from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets.sandbox.server import Sandbox
from sync_assets.settings import SyncSettings, sync_settings
from sync_assets.sync import Connected, Outcome, Request, connected, sync_entity
from sync_assets.systems import SYSTEMS
from sync_assets_tests.asking import answer
from sync_assets_tests.truths import FIELDS, IDS, bitrix, hubspot, number, remembered

Record = dict[str, Any]

RENAMED = {
    "stages": {"tag_id": "id"},
    "objects": {"stage_tag_id": "stage_id"},
}
"""Where the company's books and the product use different words for one thing."""

KAITEN = ("KAITEN_API_URL", "KAITEN_API_TOKEN", "KAITEN_RATE")
WORKSECTION = ("WORKSECTION_DOMAIN", "WORKSECTION_HASH", "WORKSECTION_SYNC_TAG", "WORKSECTION_RATE")
KOMMO = ("KOMMO_BASE_URL", "KOMMO_ACCESS_TOKEN", "KOMMO_RATE")
BITRIX = ("BITRIX_WEBHOOK_URL", "BITRIX_RATE")
HUBSPOT = ("HUBSPOT_API_URL", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PHONE_REGION", "HUBSPOT_RATE")
"""The variables of its account, for tests that leave it out."""

PARTIAL = {"projects", "objects", "sections"}
"""Entities whose truth names fewer parts than the read that is stored (`extra=options,users`, the whole task)."""

COPIES = ("board", "column", "lane", "path_data", "owner", "type", "members", "tags")
"""Parts of a card that are copies of other records: renaming those moves no card's `updated`, so a card that is read
incrementally keeps the copy of its last change. The views show the names of today."""

BAD_LEDGER = {
    "a sync is still called running": "select id, entity from sync.logs where status = 'running'",
    "the counts do not add up": "select id, entity from sync.logs"
    " where fetched <> created + updated + unchanged + stale + repeated + rejected",
    "a failure without a reason": "select id, entity from sync.logs"
    " where status in ('failed', 'lost') and error is null",
    "a success with a reason to fail": "select id, entity, error from sync.logs where status = 'success'"
    " and (error is not null or rejected > 0)",
    "ended before it began": "select id, entity from sync.logs where finished_at < started_at",
    "a lease is held by nobody": "select account, entity, lease_holder from sync.metadata"
    " where lease_holder is not null",
    "sightings without an unfinished sweep": "select s.account, s.entity from sync.sightings s"
    " join sync.metadata m using (account, entity) where m.cursor is null and m.last_error is null",
}

COMPLAINTS = " union all ".join(
    f"select '{complaint}', to_jsonb(found) from ({query}) found" for complaint, query in BAD_LEDGER.items()
)

SUMS = """
select account, entity, sum(created)::bigint, sum(deleted + merged)::bigint
  from (select account, entity, created, deleted, merged from sync.logs
        union all select account, entity, created, deleted, merged from sync.forgotten_logs) every_sync group by 1, 2
"""


def environment(sandbox: Sandbox, database_url: str, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "KAITEN_API_URL": sandbox.kaiten_url,
        "KAITEN_API_TOKEN": sandbox.kaiten_token,
        "KAITEN_RATE": "0",
        "WORKSECTION_DOMAIN": sandbox.worksection_url,
        "WORKSECTION_HASH": sandbox.worksection_key,
        "WORKSECTION_SYNC_TAG": "sync_assets",
        "WORKSECTION_RATE": "0",
        "HUBSPOT_API_URL": sandbox.hubspot_url,
        "HUBSPOT_ACCESS_TOKEN": sandbox.hubspot_token,
        "HUBSPOT_PHONE_REGION": "RU",
        "HUBSPOT_RATE": "0",
        "KOMMO_BASE_URL": sandbox.url("kommo"),
        "KOMMO_ACCESS_TOKEN": sandbox.world.systems["kommo"].credentials()["token"],
        "KOMMO_RATE": "0",
        "BITRIX_WEBHOOK_URL": sandbox.bitrix_url,
        "BITRIX_RATE": "0",
        **more,
    }


def only(*accounts: tuple[str, ...]) -> dict[str, None]:
    """For `make_company`: all others are left out. A run of Dagster over five takes its time."""
    everything = (KAITEN, WORKSECTION, HUBSPOT, KOMMO, BITRIX)
    return dict.fromkeys(name for account in everything if account not in accounts for name in account)


@dataclass
class Company:
    sandbox: Sandbox
    env: Mapping[str, str] = field(repr=False)
    worlds: dict[str, Sandbox] = field(default_factory=dict)  # accounts that are not of `sandbox`
    settings: SyncSettings = field(init=False)
    accounts: dict[str, Account] = field(init=False)

    def __post_init__(self) -> None:
        self.settings = sync_settings(self.env)
        self.accounts = {a.name: a for a in connected_accounts(SYSTEMS, self.env)[0]}

    @property
    def database_url(self) -> str:
        return self.env["DATABASE_URL"]

    def secrets(self) -> list[str]:
        password = self.database_url.partition("//")[2].partition("@")[0].partition(":")[2]
        return [s for a in self.accounts.values() for s in a.settings.secrets()] + ([password] if password else [])

    def migrate(self) -> None:
        database = Database(self.database_url)
        try:
            migrate(database, list(self.accounts.values()))
        finally:
            database.close()

    def entity(self, name: str, account: str = "kaiten") -> Entity:
        return self.accounts[account].entity(name)

    @contextmanager
    def connected(self, account: str = "kaiten") -> Iterator[Connected]:
        with connected(self.accounts[account], self.settings) as connection:
            yield connection

    def sync(
        self, kind: Any = "full", account: str = "kaiten", only: Sequence[str] | str | None = None, **request: Any
    ) -> dict[str, Outcome | SyncError]:
        """One run over an account, in sync order. A failed entity costs its children (they are not in the answer) and
        nothing else, as in the product's jobs. `only` names entities; their parents are not asked for then."""
        wanted = [only] if isinstance(only, str) else only
        done: dict[str, Outcome | SyncError] = {}
        left_out: set[str] = set()
        with self.connected(account) as connection:
            for entity in in_sync_order(self.accounts[account].entities):
                if wanted is not None and entity.name not in wanted:
                    continue
                if left_out.intersection(entity.structural_parents()):
                    left_out.add(entity.name)
                    continue
                try:
                    done[entity.name] = sync_entity(connection, entity, Request(kind, **request))
                except SyncError as e:
                    done[entity.name] = e
                    left_out.add(entity.name)
        return done

    def synced(self, *arguments: Any, **request: Any) -> dict[str, Outcome]:
        """Like `sync`, where every entity must succeed."""
        done = self.sync(*arguments, **request)
        failed = {name: str(e) for name, e in done.items() if isinstance(e, SyncError)}
        assert not failed, failed
        return {name: o for name, o in done.items() if isinstance(o, Outcome)}

    # Postgres

    def query(self, query: str | sql.Composable, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows, where there are any; committed."""
        return answer(self.database_url, query, parameters)

    def rows(self, entity: str, account: str = "kaiten") -> list[Record]:
        """The rows of an entity's table, all columns, in key order."""
        keys = self.accounts[account].entity(entity).keys
        table = sql.SQL("select to_jsonb(t), t.raw_json from {} t order by {}").format(
            sql.Identifier(self.accounts[account].schema, entity), sql.SQL(", ").join(map(sql.Identifier, keys))
        )
        return [row | {"raw_json": raw} for row, raw in self.query(table)]

    def raw(self, entity: str, account: str = "kaiten") -> dict[Any, Record]:
        """raw_json by key; a composite key is a tuple."""
        return self._raw(entity, account, "raw_json")

    def _raw(self, entity: str, account: str, content: str) -> dict[Any, Any]:
        keys = self.accounts[account].entity(entity).keys
        table = sql.Identifier(self.accounts[account].schema, entity)
        columns = sql.SQL(", ").join(map(sql.Identifier, keys))
        select = sql.SQL("select {0}, {1} from {2} order by {0}").format(columns, sql.SQL(content), table)
        return {tuple(key) if len(keys) > 1 else key[0]: raw for *key, raw in self.query(select)}

    def count(self, entity: str, account: str = "kaiten") -> int:
        return len(self.raw(entity, account))

    # The three assertions of every test

    def assert_world_equals_postgres(
        self, account: str = "kaiten", *, copies: bool = True, only: Collection[str] = ()
    ) -> None:
        """Every entity, or those that are named: the same keys and the same content. `copies=False` after an
        incremental sync, see COPIES."""
        for entity in self.accounts[account].entities:
            if not only or entity.name in only:
                self._assert_equal(entity, account, copies)

    def _assert_equal(self, entity: Entity, account: str, copies: bool) -> None:
        world = self._truth(entity.name, account, remembered)
        held = {key: remembered(raw) for key, raw in self._raw(entity.name, account, "raw_json::text").items()}
        missing, extra = world.keys() - held.keys(), held.keys() - world.keys()
        assert not missing and not extra, f"{entity.name}: Postgres lacks {missing}, has {extra} in excess"
        added = (part for read in entity.reads if isinstance(read, Whole) for part in read.adds)
        loose = {*entity.volatile, *added, *(() if copies or entity.name != "cards" else COPIES)}
        for key, record in world.items():
            if record == (stored := held[key]):
                continue
            for part in entity.sparse:
                record = record | {part: {n: v for n, v in record[part].items() if v is not None}}
            if entity.name in PARTIAL:
                stored = {name: value for name, value in stored.items() if name in record}
            different = {
                name for name in {*record, *stored} - loose if record.get(name, "absent") != stored.get(name, "absent")
            }
            assert not different, f"{entity.name} {key}: Postgres differs from the world in {sorted(different)}"

    def truth(self, entity: str, account: str = "kaiten") -> dict[Any, Record]:
        """What the world itself says, in the product's words, by key as the table has it."""
        return self._truth(entity, account, msgspec.json.decode)

    def _truth(self, entity: str, account: str, read: Callable[[bytes], Record]) -> dict[Any, Record]:
        system = self.accounts[account].system.name
        names = RENAMED.get(entity, {}) if system == "worksection" else {}
        world = self.worlds.get(account, self.sandbox).world

        def told(name: str) -> list[Record]:
            return [read(record) for record in world.truth_rows(system, name)]

        if system == "hubspot":
            records = hubspot(told, entity)
            return {_key(r, self.entity(entity, account).keys, IDS.get(entity, number)): r for r in records}
        if system == "bitrix":
            fields = FIELDS.get(entity, self.entity(entity, account).keys)
            held = self.raw(entity, account) if entity == "products" else {}
            return {_key(r, fields, number): r for r in bitrix(told, entity, held)}
        renamed = told(entity)
        if names:
            renamed = [{names.get(name, name): value for name, value in r.items()} for r in renamed]
        spell = str if system == "worksection" else (lambda v: v)
        return {_key(r, self.entity(entity, account).keys, spell): r for r in renamed}

    def assert_ledger_adds_up(self) -> None:
        found = self.query(COMPLAINTS)
        assert not found, f"{found[0][0]}: {[row for _, row in found]}"
        tables = [
            (account.name, account.schema, e.name) for account in self.accounts.values() for e in account.entities
        ]
        each = (
            sql.SQL("select {}, count(*) from {}").format(sql.Literal(i), sql.Identifier(schema, name))
            for i, (_, schema, name) in enumerate(tables)
        )
        living = dict(self.query(sql.SQL(" union all ").join(each)))
        ledger = {(account, entity): sums for account, entity, *sums in self.query(SUMS)}
        for i, (account, _, name) in enumerate(tables):
            born, buried = ledger.get((account, name), (0, 0))
            assert living[i] == born - buried, (
                f"{account}.{name}: {born} created, {buried} deleted or merged, but {living[i]} live"
            )


def _key(record: Record, names: Sequence[str], spell: Any = lambda value: value) -> Any:
    parts = tuple(spell(record[n]) for n in names)
    return parts if len(parts) > 1 else parts[0]
