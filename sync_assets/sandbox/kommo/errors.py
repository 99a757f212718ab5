"""Kommo's refusals: `application/problem+json` from its API, an nginx page from whatever stands in front of it.

The non-obvious decision: a refusal is raised where it is found and worded here, so that every message stands in one
file beside its source.
"""

from typing import Any

from sync_assets.sandbox.dialect import Answer, Record, encode

HAL, PROBLEM, HTML = "application/hal+json", "application/problem+json", "text/html"
TITLES = {
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 429: "Too Many Requests", 504: "Gateway Time-out",
}  # fmt: skip
OAUTH = "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"


class ApiError(Exception):
    """A request that Kommo answers with a problem."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more

    def answer(self) -> Answer:
        problem = {"title": TITLES[self.status], "type": f"https://httpstatus.es/{self.status}", "status": self.status}
        return Answer(self.status, encode(self.more | problem | {"detail": self.detail}), content_type=PROBLEM)


class Invalid(Exception):
    """What is wrong with one object of a write: (code, path, detail), and the record's place in the batch."""

    def __init__(self, code: str, path: str, detail: str) -> None:
        super().__init__(detail)
        self.error: Record = {"code": code, "path": path, "detail": detail}


def no_choice(path: str) -> Invalid:
    return Invalid("NotSupportedChoice", path, "The value you selected is not a valid choice.")


def wrong_type(path: str, wanted: str) -> Invalid:
    return Invalid("InvalidType", path, f"This value should be of type {wanted}.")


def invalid(found: list[tuple[str, Record]]) -> ApiError:
    """A batch that was refused as a whole: nothing of it was written."""
    listed = [{"request_id": request_id, "errors": [error]} for request_id, error in found]
    return ApiError(400, "Request validation failed", **{"validation-errors": listed})


def unscoped() -> ApiError:
    return ApiError(403, "Client doesn't have the required scope")


def oauth(status: int, hint: str) -> Answer:
    """The token endpoint's own problem; its title and detail never say more than this."""
    problem = {
        "hint": hint,
        "title": "Некорректный запрос",
        "type": OAUTH,
        "status": status,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    return Answer(status, encode(problem), content_type=PROBLEM)


def page(status: int) -> Answer:
    """nginx, which knows nothing of JSON: a blocked address (403), a batch too large (504)."""
    title = f"{status} {TITLES[status]}"
    body = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    return Answer(status, f"{body}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n".encode(), content_type=HTML)


def throttled(body: str) -> Answer:
    """429; seen live as something that is no JSON, so `json` is only what the documentation would make of it."""
    match body:
        case "json":
            return ApiError(429, "Too many requests").answer()
        case "html":
            return page(429)
    return Answer(429, b"" if body == "empty" else b"Too Many Requests", content_type="text/plain; charset=utf-8")
