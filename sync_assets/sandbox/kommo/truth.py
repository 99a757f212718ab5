"""What is true of the account, told without its API: the oracle that Postgres is compared with.

The non-obvious decision: a record is told with everything that `with` can ask for, and in the bytes of a list that
asked for it, so that a mirror that reads less has to say what it leaves out.
"""

from collections.abc import Iterator

from sync_assets.sandbox.dialect import Record, RefusedError, encode
from sync_assets.sandbox.kommo import shapes
from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.kommo.setup import ENTITIES
from sync_assets.sandbox.kommo.shapes import KINDS, WITH

SMALL = ("users", "pipelines", "statuses", "loss_reasons", "custom_fields", "tags")
# What left the living, and how: in the bin, merged into another, gone for good.
LEFT = ("deleted_leads", "binned", "merged", "gone")


def rows(company: KommoCompany, entity: str) -> list[bytes]:
    if entity in KINDS:
        living = company.living[entity]
        return [shapes.row(company, entity, living[id], WITH[entity]) for id in sorted(living)]
    match entity:
        case "events":
            return [shapes.row(company, entity, event, frozenset()) for event in company.journal.events.values()]
        case "deleted_leads":
            bin = company.binned["leads"]
            return [shapes.deleted(company, bin[id]) for id in sorted(bin)]
    return [encode(row) for row in _told(company, entity)]


def _told(company: KommoCompany, entity: str) -> Iterator[Record]:
    match entity:
        case "users":
            yield from (shapes.user(company, user, WITH["users"]) for user in company.users.values())
        case "pipelines":
            yield from (shapes.pipeline(company, pipeline) for pipeline in company.pipelines.values())
        case "statuses":
            for pipeline in company.pipelines.values():
                yield from shapes.pipeline(company, pipeline)["_embedded"]["statuses"]
        case "loss_reasons":
            yield from (shapes.loss_reason(reason) for reason in company.loss_reasons.values())
        case "custom_fields":
            every = (own for kind in ENTITIES for own in company.definitions[kind].values())
            yield from (shapes.custom_field(definition) for definition in every)
        case "tags":
            yield from (tag | {"entity_type": kind} for kind in ENTITIES for tag in company.tags[kind].values())
        case "links":
            names = ("entity_type", "entity_id", "to_entity_type", "to_entity_id", "is_main")
            for link in company.links.all():
                if link[1] in company.living[link[0]] and link[3] in company.living[link[2]]:
                    yield dict(zip(names, link, strict=True))
        case "binned":
            yield from (_left(kind, id) for kind in KINDS for id in sorted(company.binned[kind]))
        case "merged":
            for kind in KINDS:
                yield from (_left(kind, old) | {"into": company.survivor(kind, old)} for old in company.merged[kind])
        case "gone":
            yield from (_left(kind, id) for kind in KINDS for id in sorted(company.gone[kind]))
        case _:
            raise RefusedError(f"no Kommo entity {entity!r}")


def _left(kind: str, id: int) -> Record:
    return {"entity_type": kind, "id": id}
