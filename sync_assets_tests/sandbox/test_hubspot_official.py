"""The vendor's own client against the sandbox, unmodified; and real traffic laid beside its answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.hubspot import Portal

UNPACED = {"kaiten": 0.0, "worksection": 0.0, "hubspot": 1000.0, "hubspot.search": 1000.0}


@pytest.fixture
def official(sb: Sandbox) -> Any:
    import hubspot

    return hubspot.Client.create(access_token=sb.hubspot_token, host=sb.hubspot_url)


def test_the_official_client_reads_everything(sb: Sandbox, official: Any) -> None:
    contacts = official.crm.contacts.get_all(properties=["email", "phone"], associations=["calls"])
    truth = {row["id"]: row for row in sb.world.truth("hubspot", "contacts")}
    assert [contact.id for contact in contacts] == list(truth)
    assert contacts[0].properties["email"] == truth[contacts[0].id]["properties"]["email"]
    linked = [contact for contact in contacts if contact.associations]
    assert linked[0].associations["calls"].results[0].type == "contact_to_call"
    assert (
        len(official.crm.deals.get_all()) == 40 and len(official.crm.objects.calls.basic_api.get_page().results) == 10
    )
    assert official.crm.contacts.get_all(archived=True) == []
    assert len(official.crm.owners.owners_api.get_page(limit=100).results) == 7
    assert len(official.crm.properties.core_api.get_all(object_type="contacts").results) == 40
    assert official.crm.pipelines.pipelines_api.get_all(object_type="deals").results[0].stages[-1].id == "closedlost"


def test_the_official_client_searches_and_reads_batches(sb: Sandbox, official: Any) -> None:
    from hubspot.crm.contacts import (
        BatchReadInputSimplePublicObjectId,
        PublicObjectSearchRequest,
        SimplePublicObjectId,
    )

    stages = [{"propertyName": "lifecyclestage", "operator": "EQ", "value": "customer"}]
    wanted = PublicObjectSearchRequest(filter_groups=[{"filters": stages}], limit=100, properties=["lifecyclestage"])
    found = official.crm.contacts.search_api.do_search(public_object_search_request=wanted)
    assert found.total == len(found.results) > 10
    assert {contact.properties["lifecyclestage"] for contact in found.results} == {"customer"}
    ids = [contact.id for contact in found.results[:5]]
    asked = BatchReadInputSimplePublicObjectId(
        inputs=[SimplePublicObjectId(id=id) for id in ids], properties=["email"], properties_with_history=[]
    )
    batch = official.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=asked)
    assert {contact.id for contact in batch.results} == set(ids)


def test_the_official_client_reads_associations(sb: Sandbox, official: Any) -> None:
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest

    rows = sb.world.truth("hubspot", "associations")
    truth = [row for row in rows if (row["from_type"], row["to_type"]) == ("deals", "contacts")]
    deals = sorted({row["from_id"] for row in truth})
    batch = official.crm.associations.v4.batch_api.get_page(
        from_object_type="deals",
        to_object_type="contacts",
        batch_input_public_fetch_associations_batch_request=BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[{"id": id} for id in deals]
        ),
    )
    read = [
        (row._from.id, str(to.to_object_id), kind.type_id)
        for row in batch.results
        for to in row.to
        for kind in to.association_types
    ]
    assert sorted(read) == sorted((row["from_id"], row["to_id"], row["type_id"]) for row in truth)
    one = official.crm.associations.v4.basic_api.get_page(
        object_type="deals", object_id=deals[0], to_object_type="contacts", limit=500
    )
    assert {str(to.to_object_id) for to in one.results} == {row["to_id"] for row in truth if row["from_id"] == deals[0]}


@pytest.fixture
def traffic(shared: Path) -> Iterator[tuple[Portal, list[dict[str, Any]]]]:
    recorded = json.loads((shared / "hubspot/recorded_2021_2022.json").read_text())
    # Records had no `url` then.
    with Sandbox(rates=UNPACED, switches={"hubspot.url": "no"}) as sb, Portal(sb) as portal:
        yield portal, recorded


def shape(value: Any) -> Any:
    """Keys and types, of the first of many; a value may be null wherever the other is."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None if value is None else type(value)


def alike(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return not ours or not theirs or alike(ours[0], theirs[0])
    return ours is None or theirs is None or ours == theirs


def test_recorded_traffic_has_the_same_keys_types_and_headers(traffic: tuple[Portal, list[dict[str, Any]]]) -> None:
    portal, recorded = traffic
    ids: dict[str, str] = {}
    compared = 0
    for entry in recorded:
        if not entry["path"].startswith("/crm/") or entry["status"] == 429:
            continue
        body = entry["request"]
        for one in body.get("inputs", ()):
            if "id" in one:
                one["id"] = ids.get(one["id"], one["id"])
        answer = portal.http.request(entry["method"], entry["path"], json=body)
        theirs = entry["response"]
        assert answer.status_code == entry["status"], (entry["path"], answer.text)
        if entry["path"].endswith("/batch/create"):
            by_domain = {row["properties"]["domain"]: row["id"] for row in answer.json()["results"]}
            ids |= {row["id"]: by_domain[row["properties"]["domain"]] for row in theirs["results"]}
        got = answer.json()
        # The order of a batch's results is nobody's promise.
        ours = {row["id"]: place for place, row in enumerate(got["results"])}
        theirs["results"].sort(key=lambda row: ours.get(ids.get(row["id"], ""), len(ours)))
        assert alike(shape(got), shape(theirs)), (entry["path"], got, theirs)
        compared += bool(got["results"] and theirs["results"])
        headers = {name for name in answer.headers if name != "content-length" and name != "content-encoding"}
        assert headers == set(entry["headers"]), entry["path"]
        assert answer.headers["content-type"] == entry["headers"]["content-type"]
    assert compared > 40


def test_recorded_refusals_have_the_same_keys_and_headers(traffic: tuple[Portal, list[dict[str, Any]]]) -> None:
    portal, recorded = traffic
    portal.sandbox.faults.set("A2", variant="search")
    for entry in [entry for entry in recorded if entry["status"] == 429]:
        answer = portal.http.post(entry["path"], json=entry["request"])
        assert answer.status_code == 429 and answer.json().keys() == entry["response"].keys()
        assert answer.json()["message"] == entry["response"]["message"]
        headers = {name for name in answer.headers if name not in ("content-length", "content-encoding")}
        assert headers == set(entry["headers"]), entry["path"]
        assert answer.headers["content-type"] == entry["headers"]["content-type"]
