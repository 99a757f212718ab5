"""A receiver of messages on a real socket: it keeps what it took, and answers as it is told to."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "4711:canary-telegram-0123456789"
SLACK_PATH = "/services/T0/B0/canary-slack-0123456789"


@dataclass
class Answer:
    status: int = 200
    body: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    takes: bool | None = None  # whether the message arrives all the same; by its status if not said
    hangs: threading.Event | None = None


def telegram(status: int = 200, description: str = "", **parameters: int) -> Answer:
    said = {"ok": status < 300, "description": description, "parameters": parameters, "error_code": status}
    return Answer(status, json.dumps(said))


class Ear:
    """`answer` is asked for each request; by default all is well. `heard` has what arrived, by notifier."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.heard: dict[str, list[dict[str, Any]]] = {"slack": [], "telegram": []}
        self.answers: dict[str, Callable[[], Answer]] = {}
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                ear._asked(self, json.loads(body or b"{}"))

            do_HEAD = do_POST  # noqa: N815  the server's own name

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def env(self, *names: str) -> dict[str, str]:
        """Variables by which these notifiers come here; both where none is named."""
        every = {
            "slack": {"SYNC_ALERT_SLACK_URL": self.url + SLACK_PATH},
            "telegram": {
                "SYNC_ALERT_TELEGRAM_URL": self.url,
                "SYNC_ALERT_TELEGRAM_TOKEN": TOKEN,
                "SYNC_ALERT_TELEGRAM_CHAT": "-100123",
            },
        }
        return {name: value for n in names or every for name, value in every[n].items()}

    def says(self, notifier: str, answer: Answer | Callable[[], Answer]) -> None:
        self.answers[notifier] = answer if callable(answer) else lambda: answer

    def texts(self, notifier: str = "slack") -> list[str]:
        return [str(body["text"]) for body in self.heard[notifier]]

    def clear(self) -> None:
        self.requests.clear()
        for heard in self.heard.values():
            heard.clear()

    def _asked(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        notifier = "telegram" if handler.path.startswith("/bot") else "slack"
        self.requests.append((handler.command, handler.path, body))
        good = telegram if notifier == "telegram" else Answer
        answer = self.answers.get(notifier, good)()
        if answer.hangs is not None:
            answer.hangs.wait(20)
        takes = answer.status < 300 if answer.takes is None else answer.takes
        if takes and "text" in body:
            self.heard[notifier].append(body)
        content = answer.body.encode()
        handler.send_response(answer.status)
        for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            with suppress(ConnectionError):  # who has heard enough hangs up
                handler.wfile.write(content)
