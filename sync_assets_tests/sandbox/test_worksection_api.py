"""Worksection's dialect as a client meets it: proofs of identity, actions, errors inside 200 and tags."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from worksection import Client as Official

from sync_assets.sandbox.dialect import Request
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.worksection import auth
from sync_assets_tests.sandbox.conftest import UNLIMITED, Client
from sync_assets_tests.sandbox.receiver import Receiver


def hashed(sb: Sandbox, query: str, *, method: str = "GET", slash: str = "/", **more: Any) -> Any:
    url = f"{sb.worksection_url}/api/admin/v2{slash}?{query}&hash={auth.md5(query, sb.worksection_key)}"
    return httpx.request(method, url, **more).json()


def official(sb: Sandbox, how: str) -> Official:
    ours = Official(sb.worksection_url)
    if how == "key":
        return ours.set_api_key(sb.worksection_key)
    return ours.set_access_token(sb.world.systems["worksection"].credentials()["access_token"])


def test_auth_vectors_of_the_documentation_and_the_official_client(shared: Path) -> None:
    vectors = json.loads((shared / "worksection/worksection_auth_vectors.json").read_text())
    md5, header = vectors["worksection_md5"], vectors["worksection_admin_header"]
    assert auth.md5(md5["query_params"], md5["api_key"]) == md5["hash"]
    sign = auth.signature(header["action"], header["unix_ts"], md5["api_key"])
    assert header["header"] == f"Authorization: Admin {header['unix_ts']}_{sign}"
    sent = Request("GET", "/api/admin/v2/", f"{md5['query_params']}&hash={md5['hash']}", {}, {})
    assert auth.admin(sent, "get_tasks", md5["api_key"], 300)
    assert not auth.admin(sent, "get_tasks", "0" * 32, 300)


def test_the_hash_is_taken_over_the_query_as_sent_or_decoded(sb: Sandbox) -> None:
    raw = "action=get_task_tags&group=%D0%9C%D0%B5%D1%82%D0%BA%D0%B8"
    for form in (raw, "action=get_task_tags&group=Метки"):
        digest = auth.md5(form, sb.worksection_key)
        answer = httpx.get(f"{sb.worksection_url}/api/admin/v2?{raw}&hash={digest}").json()
        assert answer["status"] == "ok" and len(answer["data"]) == 8
    wrong = httpx.get(f"{sb.worksection_url}/api/admin/v2/?{raw}&hash={'0' * 32}").json()
    assert wrong == {"status": "error", "status_code": 2, "message": "Action hash is missed or invalid"}
    stale = {"Authorization": f"Admin 1_{auth.signature('get_users', 1, sb.worksection_key)}"}
    url = f"{sb.worksection_url}/api/admin/v2?action=get_users"
    assert httpx.post(url, headers=stale).json()["status_code"] == 2
    refused = httpx.get(f"{sb.worksection_url}/api/oauth2?action=get_users&access_token=wrong")
    assert refused.status_code == 401 and "errorDescription" in refused.json()


@pytest.mark.parametrize("how", ["key", "token"])
def test_the_official_client_works_unmodified(sb: Sandbox, receiver: Receiver, how: str) -> None:
    ours = official(sb, how)
    assert len(ours.members.list()) == len(sb.world.truth("worksection", "users"))
    projects = ours.projects.list({"extra": "users,options,text"})
    assert len(projects) == 7 and projects[0].users and isinstance(projects[0].id, str)
    assert len(ours.projects.list({"filter": "archive"})) == 1
    assert ours.projects.get(projects[0].id).name == projects[0].name
    tasks = ours.tasks.list(0, {"extra": "subtasks,archive,text"})
    assert [t.id for t in tasks] == [t["id"] for t in sb.world.truth("worksection", "tasks")]
    assert len(ours.tasks.list(projects[0].id)) < len(tasks)
    assert ours.tasks.get(tasks[0].id, {"extra": "text"}).name == tasks[0].name
    assert {tag.title for tag in ours.projects.tags()} >= {"sync_assets", "Стадия П"}
    assert len(ours.tasks.tags()) == 11 and ours.tasks.tag_groups() and ours.projects.tag_groups()
    assert ours.projects.groups() and ours.members.groups()
    made = ours.tasks.create(projects[0].id, "from the client", {"priority": 3, "dateend": "24.12.2026"})
    ours.tasks.complete(made.id)
    ours.tasks.reopen(made.id)
    events = ours.events.list("1h")
    assert [e["action"] for e in events[:3]] == ["reopen", "close", "post"]
    assert events[2]["object"] == {"type": "task", "id": made.id, "page": f"/project/{projects[0].id}/{made.id}/"}
    hook = ours.webhook.create(receiver.url, ["post_task"])
    assert [w.url for w in ours.webhook.list()] == [receiver.url]
    ours.webhook.delete(hook)
    if how == "token":
        assert ours.user.profile().email


def test_json_form_and_query_parameters_are_one(sb: Sandbox) -> None:
    project = next(iter(sb.world.worksection.projects))
    by_query = hashed(sb, f"action=get_tasks&id_project={project}", slash="")
    by_json = hashed(sb, "action=get_tasks", method="POST", json={"id_project": int(project)})
    by_form = hashed(sb, "action=get_tasks", method="POST", data={"id_project": project})
    assert by_query == by_json == by_form and by_query["data"]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("size", ["tiny", "demo", "bench"])
def test_every_world_starts_with_4_stages_32_objects_62_sections(seed: int, size: str) -> None:
    with Sandbox(seed=seed, size=size, cards=5) as sb:
        stages, objects, sections = (sb.world.truth("worksection", e) for e in ("stages", "objects", "sections"))
        assert (len(stages), len(objects), len(sections)) == (4, 32, 62)
        assert [o["stage_tag_id"] for o in objects].count("none") == 1
        noise = sb.world.truth("worksection", "tasks")
        assert len(noise) > 40 and {t["user_to"]["email"] for t in noise} >= {"ANY", "NOONE"}
        assert {p["status"] for p in sb.world.truth("worksection", "projects")} == {"active", "archive", "pending"}


def test_the_books_agree_with_what_a_reader_of_the_api_finds(sb: Sandbox) -> None:
    tags = {t["id"]: t["title"] for t in hashed(sb, "action=get_project_tags")["data"]}
    projects = hashed(sb, "action=get_projects&filter=active")["data"]
    synced = {p["id"]: p for p in projects if "sync_assets" in p.get("tags", {}).values()}
    assert all(tags[int(id)] == title for p in synced.values() for id, title in p["tags"].items())
    stages = [
        (p["id"], t)
        for p in synced.values()
        for t, n in p["tags"].items()
        if "стадия" in n.lower() or "stage" in n.lower()
    ]
    assert stages == [(s["project_id"], s["tag_id"]) for s in sb.world.truth("worksection", "stages")]
    tasks = hashed(sb, "action=get_all_tasks&filter=active&extra=subtasks")["data"]
    objects = [t for t in tasks if t["project"]["id"] in synced and not t["name"].startswith("!")]
    assert [o["id"] for o in objects] == [o["id"] for o in sb.world.truth("worksection", "objects")]
    found = [c["id"] for o in objects for c in o.get("child", []) if not c["name"].startswith("!")]
    assert found == [s["id"] for s in sb.world.truth("worksection", "sections")]


def test_absent_means_none_and_children_come_only_when_asked(sb: Sandbox) -> None:
    plain = hashed(sb, "action=get_all_tasks")["data"]
    assert all("child" not in task and "text" not in task for task in plain)
    assert any("tags" not in task for task in plain) and all(task.get("tags") != {} for task in plain)
    assert all(isinstance(task["id"], str) and None not in task.values() for task in plain)
    full = hashed(sb, "action=get_all_tasks&extra=subtasks,text,archive")["data"]
    assert len(full) == len(plain) + 1, "the archived project's task"
    deep = next(c for t in full for c in t.get("child", []) if c.get("child"))
    below = deep["child"][0]
    top = below["page"].split("/")[3]
    assert below["page"] == f"/project/{below['project']['id']}/{top}/{below['id']}/" and top != deep["id"]
    single = hashed(sb, f"action=get_task&id_task={below['id']}")["data"]
    assert single["parent"]["id"] == deep["id"] and single["parent"]["parent"]["id"] == top
    stub = hashed(sb, f"action=get_task&id_task={top}&extra=subtasks")["data"]["child"][0]
    assert stub.keys() <= {"id", "name", "page", "status", "priority", "child"}


def test_errors_are_200_with_the_documented_codes(sb: Sandbox, client: Client) -> None:
    def code(action: str, **parameters: Any) -> tuple[int, str]:
        answer = client.worksection(action, **parameters)
        return answer["status_code"], answer["message"]

    company = sb.world.worksection
    task = next(t for t in company.tasks.values() if t.parent is None and t.children and t.active)
    child = next(c for c in task.children if company.tasks[c].active)
    assert code("get_tasks", id_project=1) == (4, "Project is invalid")
    assert code("get_task", id_task=1) == (5, "Task is invalid")
    assert code("get_tasks") == (10, "Field is required")
    assert code("complete_task", id_task=task.id) == (13, "Task has children")
    company.close_task(task.id)
    assert code("complete_task", id_task=task.id)[0] == 12
    assert code("update_task", id_task=task.id, title="x") == (8, "Task is closed")
    company.close_task(child)
    assert code("reopen_task", id_task=child)[0] == 14
    assert code("post_task", id_project=task.project, title="x", tags="nonsense")[0] == 16
    assert code("search_tasks")[0] == 10
    for period in ("60d", "0m", "361m", "73h", "soon", ""):
        answer = client.worksection("get_events", period=period)
        assert (answer["status_code"], answer["message_details"]) == (10, "period")


def test_events_stay_inside_their_window(sb: Sandbox, client: Client) -> None:
    company, clock = sb.world.worksection, sb.world.clock
    first = next(iter(company.tasks))
    company.rename_task(first, "renamed")
    event = client.worksection("get_events", period="1m")["data"][0]
    assert event["new"] == {"title": "renamed"} and len(event["date_added"]) == len("2026-01-01 10:00")
    clock.advance(3 * 86_400)
    company.delete_task(first)
    deleted = client.worksection("get_events", period="2d")["data"]
    assert {e["action"] for e in deleted} == {"delete"}
    assert len(client.worksection("get_events", period="4d")["data"]) == len(deleted) + 1
    other = [id for id in company.projects if id != event["object"]["page"].split("/")[2]]
    assert client.worksection("get_events", period="4d", id_project=other[0])["data"] == []


def test_search_finds_by_name_project_and_status(sb: Sandbox, client: Client) -> None:
    task = next(t for t in sb.world.worksection.tasks.values() if t.active)
    name = task.fields["name"]
    found = client.worksection(
        "search_tasks", filter=f"name has '{name}' and project = {task.project}", status="active"
    )
    assert task.id in [t["id"] for t in found["data"]]
    assert client.worksection("search_tasks", filter="priority = 1")["status_code"] == 11


def test_one_a_second_is_the_limit_and_how_it_is_said_is_a_switch() -> None:
    with Sandbox() as sb:
        answers = [hashed(sb, "action=get_users") for _ in range(3)]
        assert [a["status"] for a in answers] == ["ok", "error", "error"]
        assert answers[1]["message"] == "Too many requests" and len(sb.violations) == 2
    with Sandbox(switches={"worksection.throttle": "429"}) as sb:
        query = "action=get_users"
        url = f"{sb.worksection_url}/api/admin/v2/?{query}&hash={auth.md5(query, sb.worksection_key)}"
        first, second = httpx.get(url), httpx.get(url)
        assert (first.status_code, second.status_code, second.headers["retry-after"]) == (200, 429, "1")
        time.sleep(1)
        assert httpx.get(url).status_code == 200


def test_too_many_records_are_an_error() -> None:
    with Sandbox(rates=UNLIMITED, switches={"worksection.cap": "60"}) as sb:
        assert hashed(sb, "action=get_all_tasks&extra=subtasks")["message"] == "Too many tasks (10000 max)"
        assert hashed(sb, "action=get_users")["status"] == "ok"
