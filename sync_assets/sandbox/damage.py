"""What the faults do to requests, rows and bodies.

The non-obvious decision: a value is damaged by putting a marker into the decoded record and replacing the
marker in the encoded bytes. So a record can carry what no JSON library would write: NaN, raw bytes, 20,000
brackets.
"""

import email.utils
import zlib
from typing import Any

import msgspec

from sync_assets.sandbox.bomb import bomb
from sync_assets.sandbox.dialect import Answer, Record, Request, System, Throttle, decode, encode
from sync_assets.sandbox.faults import Fault, Faults

MARK = b'"\\u0001damage\\u0001"'
NESTING = 20_000
TEXTS = ("title", "name", "full_name", "value", "text", "comments", "NAME")
NUMBERS = ("size", "sort_order", "max_money", "color", "priority", "price", "duration", "quantity", "sum")
DATES = ("due_date", "date_end", "updated", "date_added", "updated_at", "created_at", "dateUpdate", "timestampX")
ENUMS = ("state", "condition", "status", "type", "status_id", "task_type_id", "statusId")

# id -> the fields it likes, and raw JSON by variant; the first variant is the default.
# fmt: off
VALUES: dict[str, tuple[tuple[str, ...], dict[str, bytes]]] = {
    "V1": (TEXTS, {"nul": b'"before\\u0000after"'}),
    "V2": (TEXTS, {"surrogate": b'"half \\ud800 pair"', "bytes": b'"bad \xff\xfe\xc3( bytes"'}),
    "V3": (NUMBERS, {
        "overflow": b"1e400000", "nan": b"NaN", "infinity": b"Infinity", "digits": b"9" * 5000,
        "int64": b"9223372036854775808", "comma": b'"1 000,50"',
    }),
    "V4": (DATES, {
        "dotted": b'"02.03.2025"', "empty": b'""', "zero": b'"0000-00-00"', "feb30": b'"2025-02-30"',
        "year10000": b'"10000-01-01T00:00:00.000Z"', "unix": b"1740873600",
    }),
    "V5": (ENUMS, {"invent_stage": b'"invented_stage"', "number": b"99"}),
    "V6": (TEXTS, {
        "nested": b"[" * NESTING + b"]" * NESTING, "long_key": b'{"' + b"k" * 4000 + b'":1}',
        "wrong_type": b'{"was":"text"}',
    }),
    "V7": (("id", "ID"), {"missing": b"", "null": b"null", "string": b"", "duplicate": b""}),
}
# fmt: on


# The same for records that keep their values in a bag of properties.
BAGGED: dict[str, tuple[str, ...]] = {
    "A9": ("firstname", "dealname", "hs_call_title"),
    "A13": ("firstname", "dealname", "hs_call_title"),
    "V1": ("firstname", "dealname", "hs_call_title"),
    "V2": ("firstname", "dealname", "hs_call_title"),
    "V3": ("amount", "vsl_watch_duration", "hs_call_duration"),
    "V4": ("createdate", "hs_timestamp"),
    "V5": ("lifecyclestage", "dealstage", "hs_call_status"),
    "V6": ("firstname", "dealname", "hs_call_title"),
    "V8": ("firstname", "dealname", "hs_call_title"),
}


def unlucky(key: Any, share: float) -> bool:
    """The same records every time, whatever the order and the page."""
    return zlib.crc32(str(key).encode()) % 10_000 < share * 10_000


def ask(fault: Fault, request: Request) -> None:
    """Faults that change what is asked for."""
    request.faults[fault.id] = fault
    offset, limit = int(request.query.get("offset") or 0), int(request.query.get("limit") or 100)
    if fault.id == "P1":
        request.query["offset"] = str(offset % (int(fault.option("loop", 1)) * limit))
    elif fault.id == "P2":
        # Every page starts that many rows earlier, as when rows are inserted in front: nothing is skipped.
        request.query["offset"] = str(max(0, offset - int(fault.option("rows", 3)) * (offset // limit)))
    elif fault.id in ("A14", "L1", "A11"):
        shares = {"A14": ("forget", 0.6), "L1": ("share", 0.5), "A11": ("narrow", 0.5)}
        share = float(fault.option(*shares[fault.id]))
        before = request.keep
        request.strict |= fault.id == "A11" or (fault.id == "L1" and fault.option("by_id", "yes") == "no")
        request.keep = lambda key: not unlucky(key, share) and (before is None or before(key))
    request.altered = True
    fault.strikes += 1


def key_of(row: bytes) -> Any:
    try:
        fields = decode(row, type=dict[str, msgspec.Raw])
        return fields["id"] if "id" in fields else fields["ID"]
    except (msgspec.DecodeError, KeyError):
        return None


def rows(fault: Fault, answer: Answer) -> None:
    """Faults that change records inside an answer."""
    if not answer.rows:
        return
    changed = list(answer.rows)
    if fault.id == "P2":
        changed += changed[: int(fault.option("rows", 1))]
    elif fault.id in ("A9", "V8"):
        target = _target(fault, changed)
        if target is None:
            return
        changed[target] = _giant(fault, changed[target]) if fault.id == "A9" else _twice(fault, changed[target])
    elif fault.id == "A13":
        changed = [_drift(fault, row) for row in changed]
    else:
        target = _target(fault, changed)
        if target is None:
            return
        if fault.id == "V7" and fault.option("variant", "missing") == "duplicate":
            changed.append(_damage(fault, changed[target]))
        else:
            changed[target] = _damage(fault, changed[target])
    answer.rows, answer.body = changed, None
    fault.strikes += 1


def _target(fault: Fault, found: list[bytes]) -> int | None:
    wanted = fault.option("record", None)
    if wanted is None:
        return 0
    spelled = (str(wanted).encode(), b'"%s"' % str(wanted).encode())
    for position, row in enumerate(found):
        if spelled[0] in row and bytes(key_of(row) or b"") in spelled:
            return position
    # A small number that is nobody's id is a position in the page.
    return wanted if isinstance(wanted, int) and 0 <= wanted < min(len(found), 1000) else None


def _damage(fault: Fault, row: bytes) -> bytes:
    fields, variants = VALUES[fault.id]
    record: Record = decode(row)
    variant = str(fault.option("variant", next(iter(variants))))
    name, inside = _place(fault, record, fields)
    raw = variants[variant]
    if fault.id == "V7":
        if variant == "missing":
            del record[name]
            return encode(record)
        old = record[name]
        swapped = str(old) if isinstance(old, int) else int(old)
        raw = raw or encode(swapped)
    elif fault.id == "V5" and "variant" not in fault.options and isinstance(inside.get(name), int):
        raw = variants["number"]
    raw = fault.option("value", raw)
    inside[name] = "\u0001damage\u0001"
    return encode(record).replace(MARK, raw.encode() if isinstance(raw, str) else raw)


def _place(fault: Fault, record: Record, fields: tuple[str, ...]) -> tuple[str, Record]:
    """The field to be damaged and the object it stands in: the record's own, or its bag of properties."""
    bag = record.get("properties")
    bag = bag if isinstance(bag, dict) else {}
    own = fault.option("field", None)
    if own is None:
        own = next((f for f in fields if f in record), None)
        if own is None:
            liked = BAGGED.get(fault.id, ())
            return next(((f, bag) for f in liked if bag.get(f)), (fields[0], record))
    return (own, bag) if own not in record and own in bag else (own, record)


def _drift(fault: Fault, row: bytes) -> bytes:
    record: Record = decode(row)
    name, inside = _place(fault, record, TEXTS)
    if fault.option("field", None) is None and name not in inside:
        name, inside = "id", record
    match fault.option("variant", "new_field"):
        case "new_field":
            inside[str(fault.option("field", "brand_new_field"))] = {"since": "v2"}
        case "missing_field":
            inside.pop(name, None)
        case "changed_type":
            inside[name] = {"value": inside.get(name)}
        case "renamed":
            inside[f"{name}_v2"] = inside.pop(name, None)
    return encode(record)


def _giant(fault: Fault, row: bytes) -> bytes:
    record: Record = decode(row)
    name, inside = _place(fault, record, TEXTS)
    if name not in inside:
        return row  # whoever asks for other fields gets no giant
    inside[name] = "x" * (int(float(fault.option("mb", 64)) * 1_048_576))
    return encode(record)


def _twice(fault: Fault, row: bytes) -> bytes:
    """The first of two equal keys is a decoy."""
    record: Record = decode(row)
    name, inside = _place(fault, record, TEXTS)
    decoy = b"{%s:%s," % (encode(name), encode(fault.option("value", "decoy")))
    if inside is record:
        return decoy + row[1:]
    return row.replace(b'"properties":{', b'"properties":' + decoy, 1)


PAGES = {
    "html": b"<html><head><title>502</title></head><body>Temporarily unavailable</body></html>",
    "login": b'<!doctype html><html><form action="/login"><input name="password"></form></html>',
}


def body(fault: Fault, answer: Answer) -> Answer:
    """Faults that change the answer as a whole; returns the new answer."""
    fault.strikes += 1
    variant = str(fault.option("variant", "html" if fault.id == "A7" else "list_missing"))
    if fault.id == "A9":
        answer.headers["content-encoding"] = "gzip"
        return Answer(answer.status, bomb(int(fault.option("mb", 64))), headers=answer.headers)
    if fault.id == "A8":
        return Answer(200, _misshapen(variant, answer), headers=answer.headers)
    if variant in PAGES:
        return Answer(200, PAGES[variant], headers=answer.headers, content_type="text/html; charset=utf-8")
    if variant == "bom":
        return Answer(answer.status, b"\xef\xbb\xbf" + answer.content(), headers=answer.headers)
    if variant == "latin1":
        # One byte per character under a header that promises UTF-8: cp1251, as Latin-1 has no Cyrillic.
        squeezed = answer.content().decode().encode("cp1251", "replace")
        return Answer(answer.status, squeezed, headers=answer.headers)
    return Answer(204 if variant == "204" else 200, b"", headers=answer.headers)


def _misshapen(variant: str, answer: Answer) -> bytes:
    if variant == "error200":
        return encode({"error": "internal", "error_description": "Something went wrong"})
    replacement: Any = None
    if variant == "object":
        replacement = {"message": "see attachment"}
    elif variant == "numbers":
        replacement = {str(n): msgspec.Raw(row) for n, row in enumerate(answer.rows or (), 1)}
    head, tail = answer.head.removesuffix(b"["), answer.tail.removeprefix(b"]")
    if variant == "list_missing":
        shell = decode(head + b"null" + tail)
        return encode(_filled(shell or {}))
    return head + encode(replacement) + tail


def _filled(shell: Record) -> Record:
    """Without the list, wherever in the envelope it was."""
    return {k: _filled(v) if isinstance(v, dict) else v for k, v in shell.items() if v is not None}


TOO_LONG = b"<html>\r\n<head><title>414 Request-URI Too Large</title></head>\r\n<body>414</body>\r\n</html>\r\n"


def _gone(fault: Fault, system: System) -> Answer:
    if "url_bytes" in fault.options:
        return Answer(414, TOO_LONG, content_type="text/html")
    answer = system.missing()
    answer.status = int(fault.option("status", 404))
    return answer


def instead(fault: Fault, faults: Faults, system: System, request: Request) -> Answer | None:
    """Faults that answer in the system's place."""
    if fault.id == "A12" and len(request.target) <= int(fault.option("url_bytes", -1)):
        return None
    if not faults.strikes(fault):
        return None
    if fault.id == "A11":
        return system.denied(int(fault.option("status", 401)), request)
    if fault.id == "A2":
        return system.disguised(str(fault.option("variant", "burst")), fault.option("retry_after", 5))
    if fault.id == "A12":
        return _gone(fault, system)
    if fault.id == "S5":
        target = f"{fault.option('url', 'http://trap.test')}{request.target}"
        return Answer(int(fault.option("status", 302)), b"", headers={"location": target})
    if fault.id == "A3":
        page = b"<html><body>Bad gateway</body></html>"
        return Answer(int(fault.option("status", 503)), page, content_type="text/html")
    answer = system.throttled(Throttle(False, 0, 1.0))
    answer.status = int(fault.option("status", 429))
    wait = fault.option("retry_after", 1)
    answer.headers.pop("retry-after", None)
    if "reset" in fault.options:
        answer.headers.update(system.limit_headers(Throttle(False, 0, 1.0)))
        if fault.options["reset"] == "seconds":
            answer.headers["x-ratelimit-reset"] = "1"
    elif wait == "absent":
        answer.headers.pop("x-ratelimit-reset", None)
    if wait == "date":
        answer.headers["retry-after"] = email.utils.formatdate(usegmt=True, timeval=None)
    elif wait != "absent":
        answer.headers["retry-after"] = str(wait)
    return answer
