"""Kommo's entities. Records that move are read in the order of their changes; what happened is in events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sync_assets.entity import ById, Changes, Entity, Inside, Link, Tells, Whole
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.kommo.reads import ByTime, ByWindows, KommoRead, Pages, since

DOCS = "https://developers.kommo.com/reference"
WITH = {
    "leads": "contacts,catalog_elements,loss_reason,is_price_modified_by_robot,source_id",
    "contacts": "leads,customers,catalog_elements",
    "companies": "leads,contacts,customers,catalog_elements",
    "users": "role,group,uuid,amojo_id,user_rank,phone_number",
}
SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task"}
HEARD = {
    "leads": ("add", "update", "delete", "restore", "status", "responsible", "note"),
    "contacts": ("add", "update", "delete", "restore", "responsible", "note"),
    "companies": ("add", "update", "delete", "restore", "responsible", "note"),
    "tasks": ("add", "update", "delete", "responsible"),
}
"""What webhooks tell of; a note is told of the record that it is on."""
DELETED = """
select entity_id::text, source_changed_at from events where type = '{singular}_deleted'
union all
select other #>> '{{}}', source_changed_at
  from events cross join lateral jsonb_path_query(raw_json, '$.value_before[*].entity.id') other
 where type = 'entity_merged' and entity_type = '{singular}'"""
RECENTLY = 600.0
"""Seconds before its watermark that an incremental read begins: rows show up late in their lists."""


def changes(read: KommoRead) -> Changes:
    return lambda _ask, moment, _now: [since(read, moment)]


def moving(name: str, read: Callable[..., KommoRead], *, links: tuple[Link, ...], doc: str, **more: Any) -> Entity:
    params = {"with": WITH[name]} if name in WITH else {}
    everything = read(f"/{name}", params=params, at=f"_embedded.{name}", shape="record")
    return Entity(
        name,
        read=everything,
        one=ById(f"/{name}/{{key}}", params=params, at="", shape="record"),
        changes=changes(everything),
        overlap=RECENTLY,
        links=links,
        deletions=DELETED.format(singular=SINGULAR[name]),
        after=("events",),
        doc=doc,
        url=f"{DOCS}/{name}-list",
        hints=tuple(f"{action}_{SINGULAR[name]}" for action in HEARD[name]),
        **more,
    )


@dataclass(frozen=True)
class CustomFields(Pages):
    """The definitions of some kinds of records, one list each; their path is the kind."""

    kinds: tuple[str, ...] = ()

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        for kind in self.kinds:
            yield from Pages(f"/{kind}/custom_fields", at=self.at).pages(fetch, {})


ALONG = ("updated_at", "updated_by", "closed_at", "closest_task_at")
RESPONSIBLE = Link("responsible_user_id", "users", none=("0",), order=False)
EVENTS = Pages("/events", at="_embedded.events", shape="record", filter="filter[created_at][from]")

ENTITIES = (
    Entity(
        "users",
        read=Pages("/users", params={"with": WITH["users"]}, at="_embedded.users", shape="record"),
        one=ById("/users/{key}", params={"with": WITH["users"]}, at="", shape="record"),
        doc="People of the account; only an administrator's token sees them.",
        url=f"{DOCS}/users-list",
    ),
    Entity(
        "pipelines",
        read=Whole("/leads/pipelines", at="_embedded.pipelines", shape="record"),
        one=ById("/leads/pipelines/{key}", at="", shape="record"),
        doc="Pipelines of leads.",
        url=f"{DOCS}/pipelines-list",
    ),
    Entity(
        "statuses",
        key=("pipeline_id", "id"),
        read=Inside("pipelines", ("$._embedded.statuses[*]",)),
        links=(Link("pipeline_id", "pipelines"),),
        codes={"type": ("0", "1")},
        doc="Stages of the pipelines. 142 (won) and 143 (lost) have the same id in each.",
        url=f"{DOCS}/statuses-list",
    ),
    Entity(
        "loss_reasons",
        read=Pages("/leads/loss_reasons", at="_embedded.loss_reasons"),
        doc="Why leads are lost.",
        url=f"{DOCS}/loss-reasons",
    ),
    Entity(
        "custom_fields",
        read=CustomFields("/custom_fields", at="_embedded.custom_fields", kinds=("leads", "contacts", "companies")),
        doc="Definitions of the custom fields of leads, contacts and companies.",
        url=f"{DOCS}/custom-fields-list",
    ),
    moving(
        "leads",
        ByTime,
        bin=Pages("/leads", params={"with": "only_deleted"}, at="_embedded.leads", shape="deleted"),
        links=(
            RESPONSIBLE,
            Link("pipeline_id", "pipelines", order=False),
            Link(("pipeline_id", "status_id"), "statuses", order=False),
            Link("loss_reason_id", "loss_reasons", none=("0",), order=False),
        ),
        tells=Tells(stage=("status_id", "pipeline_id"), responsible="responsible_user_id", along=ALONG),
        doc="Leads with their contacts, company and tags.",
    ),
    moving(
        "contacts",
        ByTime,
        links=(RESPONSIBLE,),
        tells=Tells(responsible="responsible_user_id", along=ALONG),
        doc="Contacts with their leads, company and tags.",
    ),
    moving("companies", ByTime, links=(RESPONSIBLE,), doc="Companies with their leads, contacts and tags."),
    moving(
        "tasks",
        ByWindows,
        links=(RESPONSIBLE,),
        tells=Tells(stage=("is_completed",), responsible="responsible_user_id", along=ALONG),
        codes={"entity_type": ("leads", "contacts", "companies", "customers")},
        doc="Tasks, done and open.",
    ),
    Entity(
        "events",
        read=EVENTS,
        one=ById("/events/{key}", at="", shape="record"),
        changes=changes(EVENTS),
        overlap=RECENTLY,
        doc="What happened, with the values before and after; the source of hard deletions.",
        url=f"{DOCS}/events-list",
    ),
)
