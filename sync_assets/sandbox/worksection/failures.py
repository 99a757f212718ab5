"""How Worksection says no: HTTP 200, a code and a few words.

The non-obvious decision: the exception is its own answer, so an action raises and never returns a failure.
"""

from sync_assets.sandbox.dialect import Answer, Record, of_json

Parameters = dict[str, str]


class FailureError(Exception):
    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details

    def answer(self) -> Answer:
        body: Record = {"status": "error", "status_code": self.code, "message": self.message}
        return of_json(body | ({"message_details": self.details} if self.details else {}))


def needed(given: Parameters, name: str) -> str:
    if not given.get(name):
        raise FailureError(10, "Field is required", name)
    return given[name]
