"""The Crossdock plugin `{{name}}`: posts records to a REST API, and deletes what is to be undone."""

from collections.abc import Mapping
from dataclasses import dataclass

from crossdock import (
    Applied,
    Atomicity,
    Compensate,
    Destination,
    Idempotency,
    Record,
    UndoRecord,
    Unknown,
    http,
    rest,
    secrets,
    setting,
    want_http,
    want_secret,
)

# What one request may take, and so what must be left of a call's time to begin one.
REQUEST_MS = 5_000


@dataclass
class Settings:
    """What a route may set. From this comes the JSON Schema by which routes are checked and that editors show."""

    base: str = setting("Where the API begins, for example `https://erp.example.com`.", pattern="^https?://")
    secret: str = setting("The name of the secret with which to log in. The plugin never sees its value.")


@dataclass
class Receipt:
    """What is left behind to undo a record, in a fresh instance and days later."""

    order: int


class Plugin(Destination[Settings], Compensate):
    # The host relies on these two when it decides whether to try again: say the truth.
    idempotency = Idempotency.NATIVE_KEY  # The API knows a request again by its `Idempotency-Key`.
    atomicity = Atomicity.PER_RECORD
    wants = [want_http("the API"), want_secret("the key to the API, sent as `Authorization: Bearer`")]
    reserve_ms = undo_reserve_ms = REQUEST_MS

    def start(self) -> None:
        self.key = secrets.open(self.settings.secret)

    def check(self) -> None:
        """Asked before a run and while the breaker is open. Changes nothing there."""
        rest.answered(self.request("GET", "/health"))

    def write(self, record: Record) -> Applied:
        """One record. The loop around it keeps the order, the time and the wish to stop at the first failure."""
        headers = {"idempotency-key": record.key, "content-type": "application/json"}
        request = self.request("POST", "/orders", headers=headers, body=record.bytes, record=record)
        # 4xx is rejected, 429 and 503 come again later, and an answer that was lost is unknown: never a guess.
        answer = rest.written(request)
        try:
            order = int(answer.json()["id"])
        except (ValueError, TypeError, KeyError):
            raise Unknown("answer-without-id", "the API did not say what it made", detail=answer.text) from None
        return Applied(target_id=str(order), receipt=Receipt(order))

    def compensate(self, record: UndoRecord) -> None:
        """May be called twice for the same record: what is gone already is fine."""
        receipt = record.receipt_json(Receipt)
        rest.undone(self.request("DELETE", f"/orders/{receipt.order}", record=record))

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, http.Value] | None = None,
        body: bytes = b"",
        record: Record | UndoRecord | None = None,
    ) -> http.Request:
        url = self.settings.base.rstrip("/") + path
        headers = {"authorization": http.bearer(self.key), **(headers or {})}
        return http.Request(method, url, headers=headers, body=body, timeout_ms=REQUEST_MS, record=record)
