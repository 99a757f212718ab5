"""A shop's site in a folder with our package beside it, and the receiver's endpoint behind a socket."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sync_assets.webhook import Delivery, Event
from sync_assets_tests.sandbox.receiver import Answer, Arrived
from sync_assets_tests.systems.shop_hooks import SECRET, endpoint

PACKAGE = Path(__file__).resolve().parents[2] / "integrations/bitrix"
KERNEL = Path(__file__).with_name("kernel.php")


@dataclass
class Posted:
    """What the shop posted: of it is taken what the endpoint believes. `statuses` are answered before it is asked."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refuses: Callable[[bytes], int] = lambda _: 0  # a status in place of the endpoint's own

    def take(self, arrived: Arrived) -> Answer:
        self.bodies.append(arrived.body)
        if status := self.statuses.pop(0) if self.statuses else self.refuses(arrived.body):
            return status, b'{"status":"error"}'
        delivery = Delivery(self.url, arrived.headers, arrived.body, datetime.now(UTC))
        if not endpoint().authentic(delivery):
            return 401, b""
        self.events += endpoint().events(delivery)
        return 200, endpoint().answer

    def told(self) -> list[tuple[str, str]]:
        """The events but those that an event of another record brings along."""
        return [(e.name, e.key) for e in self.events if e.entity in ("orders", "products") or e.name[:4] == "user"]


class Site:
    def __init__(self, folder: Path, url: str) -> None:
        self.root, self.package, self.var = folder / "www", folder / "sync_assets", folder / "var"
        self.init = self.root / "local/php_interface/init.php"
        self.shop: dict[str, Any] = {}
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("config.php", "var"))
        prolog = self.root / "bitrix/modules/main/include/prolog_before.php"
        prolog.parent.mkdir(parents=True)
        prolog.write_text(f"<?php require_once '{KERNEL}';\n")
        self.init.parent.mkdir(parents=True)
        self.init.write_text(f"<?php\nrequire_once '{self.package}/include.php';\n")
        self.configure(url=url)

    def configure(self, **settings: Any) -> None:
        given = {"secret": SECRET, "root": str(self.root), "iblocks": [2, 27], "folder": str(self.var), **settings}
        given = {"timeout": 3, "deadline": 6, "pause": 0.01, **given}
        encoded = json.dumps(given).replace("\\", "\\\\").replace("'", "\\'")
        (self.package / "config.php").write_text(f"<?php return json_decode('{encoded}', true);\n")

    def env(self, **more: str) -> dict[str, str]:
        (self.root.parent / "shop.json").write_text(json.dumps(self.shop))
        return {**os.environ, "SHOP": str(self.root.parent / "shop.json"), **more}

    def php(self, script: str, *arguments: str, status: int = 0, **env: str) -> str:
        """What a script of the package says; its log goes to `self.log`."""
        return self._run([str(self.package / script), *arguments], status, env)

    def page(self) -> Path:
        page = self.root / "index.php"
        page.write_text(
            "<?php $_SERVER['DOCUMENT_ROOT'] = __DIR__;"
            " require_once __DIR__ . '/bitrix/modules/main/include/prolog_before.php'; echo 'page';"
        )
        return page

    def hit(self, *happened: tuple[str, str, Any]) -> str:
        """A page on which these events happen."""
        return self._run([str(self.page())], 0, {"HIT": json.dumps(happened)})

    def _run(self, arguments: list[str], status: int, env: dict[str, str]) -> str:
        # As the web server does, and so that the log can be read.
        options = ["-d", "log_errors=1", "-d", "display_errors=0", "-d", f"error_log={self.root.parent / 'php.log'}"]
        done = subprocess.run(
            ["php", *options, "-d", "error_reporting=-1", *arguments],
            env=self.env(**env), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr, self.log)
        return done.stdout + done.stderr

    @property
    def log(self) -> str:
        log = self.root.parent / "php.log"
        return log.read_text() if log.exists() else ""

    @property
    def queue(self) -> list[dict[str, Any]]:
        queue = self.var / "queue.jsonl"
        return [json.loads(line) for line in queue.read_text().splitlines()] if queue.exists() else []
