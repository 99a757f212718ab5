"""Whether a vendor still calls us, which it stops doing without a word."""

from __future__ import annotations

from sync_assets import registration
from sync_assets.account import Account
from sync_assets.check.finding import SAMPLE, Finding
from sync_assets.extract.http import Door


def webhook_is_on(account: Account, public_url: str, door: Door) -> Finding:
    """The vendor has our address and has not switched it off.

    An ERROR, though every record is right all the same: syncs repair what webhooks lose, so nothing else would ever
    show that they do not come, and only a person can mend it. A vendor that does not tell is a WARN.
    """
    found = list(registration.standings(account, public_url, door))
    amiss = [s for s in found if s.state in registration.AMISS]
    untold = [s for s in found if s.state == "unknown"]
    facts = {"count": len(amiss), "on": sum(s.state == "on" for s in found)}
    if amiss:
        said = [" ".join(filter(None, (s.place, s.state, f"({s.says})" if s.says else ""))) for s in amiss]
        says = f"{', '.join(said[:SAMPLE])}: run sync-assets webhooks --create, or set it at {amiss[0].where}"
        return Finding("webhook_is_on", False, says, facts=facts)
    if untold:
        return Finding("webhook_is_on", False, untold[0].says, "WARN", facts)
    return Finding("webhook_is_on", True, "the vendor calls us", facts=facts)
