"""`python -m sync_assets.sandbox`: start, say in one JSON line where everything is, live until a signal.

The non-obvious decision: the port file is renamed into place, so whoever waits for it never reads half a
line.
"""

import argparse
import gc
import signal
import sys
import threading
from pathlib import Path

from sync_assets.sandbox.dialect import RefusedError, encode
from sync_assets.sandbox.faults import KINDS
from sync_assets.sandbox.server import RATES, Sandbox
from sync_assets.sandbox.world import SIZES, SWITCHES


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name, value


def _webhook(text: str) -> tuple[str, str, dict[str, str]]:
    system, rest = _pair(text)
    url, *secrets = rest.split(",")
    return system, url, dict(map(_pair, secrets))


def _rate(text: str) -> tuple[str, float]:
    name, value = _pair(text)
    return name, float(value)


def parser() -> argparse.ArgumentParser:
    faults = "\n".join(f"  {id:4} {kind.title}" for id, kind in KINDS.items())
    form = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser(
        prog="python -m sync_assets.sandbox",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"faults:\n{faults}\n\nswitches (defaults): {SWITCHES}",
        formatter_class=form,
    )
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--size", choices=SIZES, default="demo")
    arguments.add_argument("--cards", type=int, help="number of Kaiten cards, instead of the size's own")
    arguments.add_argument("--latency-ms", type=float, default=0.0)
    arguments.add_argument("--rate", type=_rate, action="append", default=[], help=f"0 = no limit; default {RATES}")
    arguments.add_argument("--fault", action="append", default=[], metavar="ID[:system][:k=v,...]")
    arguments.add_argument("--switch", type=_pair, action="append", default=[], metavar="NAME=VALUE")
    arguments.add_argument(
        "--webhook",
        type=_webhook,
        action="append",
        default=[],
        metavar="SYSTEM=URL[,secret=...]",
        help="send every event there; SYSTEM is one of the five or bitrix.shop (its PHP handler); --switch"
        " webhooks.speed=FACTOR hastens retries; POST /_webhooks at the control port registers later",
    )
    arguments.add_argument("--replay", type=Path, metavar="DIR")
    arguments.add_argument("--port-file", type=Path)
    return arguments


def main() -> int:
    arguments = parser()
    given = arguments.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = Sandbox(
            seed=given.seed,
            size=given.size,
            rates=dict(given.rate),
            latency=given.latency_ms / 1000,
            cards=given.cards,
            replay=given.replay,
            switches=dict(given.switch),
        )
        for system, url, secrets in given.webhook:
            sandbox.webhooks.register(system, url, **secrets)
        for text in given.fault:
            sandbox.faults.parse(text)
    except RefusedError as error:
        arguments.error(str(error))
    switched = {name.partition(".")[0] for name, _ in given.switch} & sandbox.world.systems.keys()
    for system in {"kaiten", "worksection"} | switched:
        # Whoever sets its switches wants it, and two are small: founded now and not under the first request.
        sandbox.world.truth_rows(system, sandbox.world.system(system).entities()[0])
    # The seeded records live as long as the process: no collector should walk them again.
    gc.freeze()
    with sandbox:
        line = encode(sandbox.address_book()).decode()
        if given.port_file is not None:
            fresh = given.port_file.with_name(given.port_file.name + ".new")
            fresh.write_text(line + "\n")
            fresh.rename(given.port_file)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
