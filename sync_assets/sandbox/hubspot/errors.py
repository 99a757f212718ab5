"""HubSpot's refusals, in the envelope its clients parse: status, message, correlationId, category, errors.

The non-obvious decision: a refusal is raised where it is found and worded here, so that every message seen live
stands in one file.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from sync_assets.sandbox.dialect import Answer, Record, encode

JSON = "application/json;charset=utf-8"
AUTH = "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
SCOPES = "https://developers.hubspot.com/scopes"

# How a limit says no; the first is a search's recorded answer, the second and fourth have seen in the wild.
THROTTLED: dict[str, Record] = {
    "search": {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"},
    "secondly": {"message": "You have reached your secondly limit.", "policyName": "SECONDLY"},
    "burst": {"message": "You have reached your ten_secondly_rolling limit.", "policyName": "TEN_SECONDLY_ROLLING"},
    "daily": {"message": "You have reached your daily limit.", "policyName": "DAILY"},
}


class ApiError(Exception):
    """A request that HubSpot answers with an error."""

    def __init__(self, status: int, message: str, category: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.category, self.more = status, message, category, more

    def answer(self) -> Answer:
        return refusal(self.status, self.message, self.category, **self.more)


def refusal(status: int, message: str, category: str | None = None, **more: Any) -> Answer:
    correlation = str(uuid.uuid4())
    body = {"status": "error", "message": message, "correlationId": correlation, **more}
    if category is not None:
        body["category"] = category
    return Answer(status, encode(body), headers={"x-hubspot-correlation-id": correlation}, content_type=JSON)


def throttled(policy: str) -> Answer:
    """Never a Retry-After: none was ever seen with a 429."""
    shape = THROTTLED[policy]
    more = {k: v for k, v in shape.items() if k not in ("message", "category")}
    if "policyName" in shape:
        more |= {"errorType": "RATE_LIMIT", "requestId": uuid.uuid4().hex}
    return refusal(429, shape["message"], shape.get("category"), **more)


def locked() -> Answer:
    return refusal(423, "The resource is locked. Locks last 2 seconds.", "RESOURCE_LOCKED")


def migrating(seconds: Any) -> Answer:
    """Moving between hosting regions: the only refusal with a Retry-After, in seconds."""
    answer = refusal(477, "This account is being migrated between hosting regions.", "MIGRATION_IN_PROGRESS")
    answer.headers["retry-after"] = str(seconds)
    return answer


def unauthenticated() -> Answer:
    message = "Authentication credentials not found. This API supports OAuth 2.0 authentication"
    return refusal(401, f"{message} and you can find more details at {AUTH}", "INVALID_AUTHENTICATION")


def unscoped(scopes: Iterable[str]) -> ApiError:
    return ApiError(
        403,
        f"This app hasn't been granted all required scopes to make this call. Read more about required scopes here: "
        f"{SCOPES}.",
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": list(scopes)},
            }
        ],
        links={"scopes": SCOPES},
    )


def invalid(message: str, code: str | None = None, **context: list[str]) -> ApiError:
    more: Record = {}
    if code is not None:
        more["errors"] = [{"message": message, "code": code, "context": context}]
    return ApiError(400, message, "VALIDATION_ERROR", **more)


def unknown_property(name: str) -> ApiError:
    message = f'Property "{name}" does not exist'
    listed = [{"isValid": False, "message": message, "error": "PROPERTY_DOESNT_EXIST", "name": name}]
    return ApiError(
        400,
        f"Property values were not valid: {encode(listed).decode()}",
        "VALIDATION_ERROR",
        errors=[{"message": message, "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": [name]}}],
    )


def not_found(id: str) -> ApiError:
    if id.isdigit():
        return ApiError(404, "resource not found")
    message = f"Object not found.  objectId are usually numeric.  objectId = {id}"
    return ApiError(404, message, "OBJECT_NOT_FOUND", context={"id": [id]})


def too_long() -> Answer:
    """The load balancer's page, which is no JSON and knows nothing of correlation ids."""
    body = (
        b"<html>\r\n<head><title>414 Request-URI Too Large</title></head>\r\n<body>\r\n<center><h1>414 Request-URI Too "
    )
    return Answer(414, body + b"Large</h1></center>\r\n</body>\r\n</html>\r\n", content_type="text/html")
