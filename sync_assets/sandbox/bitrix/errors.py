"""Bitrix's refusals: `{"error": code, "error_description": text}`; system codes are words and a module's numbers.

The non-obvious decision: a refusal is raised where it is found and worded here, because the same one is a body with a
status when it is asked for alone and an entry of `result_error` inside a batch that is always 200.
"""

from typing import Any

from sync_assets.sandbox.dialect import Answer, Record, of_json

# By method; what the documentation shows no code for is answered with 0.
UNKNOWN = {
    "sale.order": (200540400001, "order is not exists"),
    "sale.status": (201340400001, "status is not exists"),
}
NO_READ, NO_MODIFY = 200040300010, 200040300020


class ApiError(Exception):
    """A call that Bitrix answers with an error."""

    def __init__(self, status: int, code: str | int, description: str = "", **more: Any) -> None:
        super().__init__(description)
        self.status, self.code, self.description, self.more = status, code, description, more

    def body(self) -> Record:
        return {"error": self.code, "error_description": self.description, **self.more}

    def answer(self) -> Answer:
        return of_json(self.body(), self.status)


def too_many() -> ApiError:
    return ApiError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")


def exhausted(status: int, **more: Any) -> ApiError:
    return ApiError(status, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.", **more)


def overloaded() -> ApiError:
    """A block by hand: whoever waits for its end waits for a person."""
    return ApiError(503, "OVERLOAD_LIMIT", "REST API is blocked due to overload.")


def no_auth() -> ApiError:
    return ApiError(401, "NO_AUTH_FOUND", "Wrong authorization data")


def wrong_secret(status: int) -> ApiError:
    return ApiError(status, "INVALID_CREDENTIALS", "Invalid request credentials")


def unscoped(status: int) -> ApiError:
    text = "The request requires higher privileges than provided by the webhook token"
    return ApiError(status, "insufficient_scope", text)


def no_method() -> ApiError:
    return ApiError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")


def access_denied(code: int = NO_READ) -> ApiError:
    return ApiError(400, code, "Access Denied")


def unknown(method: str) -> ApiError:
    code, text = UNKNOWN.get(method, (0, f"{method.rpartition('.')[2]} is not exists"))
    return ApiError(400, code, text)


def lacking(name: str) -> ApiError:
    return ApiError(400, 100, f"Could not find value for parameter {{{name}}}")


def invalid(text: str) -> ApiError:
    return ApiError(400, 0, text)
