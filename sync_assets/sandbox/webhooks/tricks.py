"""What goes wrong between a vendor and its receiver: the delivery faults of faults.md, by their ids.

The non-obvious decision: a trick is played on a letter and never on the world, so `changes` stays the truth that what
arrived is counted against.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sync_assets.sandbox.dialect import Request
from sync_assets.sandbox.faults import Fault, Faults
from sync_assets.sandbox.webhooks.vendor import Hook, Letter, Said, Vendor


@dataclass(slots=True)
class Tricks:
    """What is to happen to one attempt."""

    copies: int = 0
    forge: str = ""
    skew: float = 0.0
    delay: float = 0.0
    dropped: bool = False
    name: str = ""


def drawn(faults: Faults, vendor: Vendor, said: Sequence[Said]) -> Tricks:
    """Each fault that is aimed at this vendor and, by its path, at one of these events."""
    found = Tricks()
    names = []
    for fault in aimed(faults, vendor, [one.event.name for one in said]):
        if fault.id == "W4" and "delay" not in fault.options:
            continue
        if not faults.strikes(fault):
            continue
        names.append(fault.id)
        match fault.id:
            case "W1":
                found.copies += int(fault.option("copies", 1))
            case "W2":
                found.forge = str(fault.option("variant", "secret"))
            case "W3":
                found.skew -= float(fault.option("age", 600))
            case "W4":
                found.delay += float(fault.option("delay", 0))
            case "W11":
                found.dropped = True
    found.name = ",".join(names)
    return found


def aimed(faults: Faults, vendor: Vendor, names: Sequence[str]) -> list[Fault]:
    return faults.aimed("delivery", vendor.name, Request("POST", "/" + ",".join(names), "", {}, {}))


def window(faults: Faults, vendor: Vendor) -> Fault | None:
    """The fault that mixes letters up before they leave, if there is one."""
    return next((f for f in aimed(faults, vendor, ()) if f.id == "W4" and "delay" not in f.options), None)


def written(vendor: Vendor, hook: Hook, said: Sequence[Said], attempt: int, moment: float, tricks: Tricks) -> Letter:
    """The letter as the receiver will see it."""
    author = hook.forged() if tricks.forge == "secret" else hook
    letter = vendor.letter(author, said, attempt, moment + tricks.skew)
    if tricks.forge == "body":
        letter.body = _tampered(letter.body)
    elif tricks.forge in ("missing", "truncated"):
        kept = {name: value for name, value in letter.headers.items() if not _proves(name)}
        proofs = {name: value[: len(value) // 2] for name, value in letter.headers.items() if _proves(name)}
        letter.headers = kept | (proofs if tricks.forge == "truncated" else {})
    return letter


def _proves(header: str) -> bool:
    return "signature" in header.lower() or header.lower() == "authorization"


def _tampered(body: bytes) -> bytes:
    """Another digit in place of the last one: as long, as well-formed, and about something else."""
    at = max(body.rfind(b"%d" % digit) for digit in range(10))
    return body[:at] + (b"1" if body[at : at + 1] != b"1" else b"2") + body[at + 1 :]
