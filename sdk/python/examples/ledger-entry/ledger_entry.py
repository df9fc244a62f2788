"""Enters lines of orders into the books through their REST API, and takes them back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock import (
    Answers,
    Applied,
    Atomicity,
    Batch,
    CallError,
    Compensate,
    Destination,
    Failure,
    Idempotency,
    Record,
    Reject,
    UndoRecord,
    Unknown,
    control,
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
    """What a route may set."""

    base: str = setting("Where the books' API begins, for example `https://books.example.com`.", pattern="^https?://")
    secret: str = setting("The name of the secret with which to log in. The plugin never sees its value.")
    account: str = setting("The account that everything is entered to.")
    in_flight: int = setting("How many requests may be on their way at once.", default=4, minimum=1, maximum=64)


@dataclass
class Line:
    """A record: a line of an order, as the example `orders` makes it."""

    customer: str
    sku: str
    quantity: int
    cents: int
    currency: str


@dataclass
class Receipt:
    """What is left behind to undo a record, in a fresh instance and days later. Fields that are added one day need a
    default: receipts of today are still about then."""

    entry: str


class LedgerEntry(Destination[Settings], Compensate):
    # The host relies on this when it decides whether to try again: say the truth.
    idempotency = Idempotency.NATIVE_KEY
    atomicity = Atomicity.PER_RECORD
    wants = [want_http("the books"), want_secret("the key to the books, sent as `Authorization: Bearer`")]

    def start(self) -> None:
        if not re.match("https?://", self.settings.base):
            message = f"the base `{self.settings.base}` does not begin with https:// or http://"
            raise CallError.invalid_settings(Failure("invalid-settings", message, pointer="/base"))
        self.base = self.settings.base.rstrip("/")
        self.headers = {"authorization": http.bearer(secrets.open(self.settings.secret))}

    def check(self) -> None:
        rest.answered(self.request("GET", "/health"))

    def write(self, record: Record) -> Applied:
        return self.said(http.send(self.entry(record)))

    def write_batch(self, batch: Batch, answers: Answers) -> None:
        if answers.stop_at_first_failure:
            return super().write_batch(batch, answers)
        # As many requests on their way as may be: as soon as one is answered, the next one is begun.
        for request, answer in http.each(self.entries(batch, answers), self.settings.in_flight):
            answers.set(request.record, self.said, answer)
        # Nothing was sent for those that the time did not suffice for: they come again, and no attempt is counted.
        answers.leave_rest_untouched()

    def entries(self, batch: Batch, answers: Answers) -> Iterator[http.Request]:
        for record in batch:
            if control.remaining_ms() < REQUEST_MS or control.cancelled():
                return
            try:
                yield self.entry(record)
            except Reject as rejection:
                answers.set(record, rejection)

    def entry(self, record: Record) -> http.Request:
        """Posting twice under one key enters once."""
        line = record.json(Line)
        text = f"{line.quantity} x {line.sku} for {line.customer}"
        known = {"reference": record.id, "account": self.settings.account, "cents": line.cents}
        body = {**known, "currency": line.currency, "text": text}
        return self.request("POST", "/entries", json=body, record=record, key=record.key)

    def said(self, answer: http.Response | http.HttpError) -> Applied:
        """What an answer says of the record that was sent."""
        if isinstance(answer, http.Response) and answer.status == 422:
            raise Reject(blamed(answer))
        response = rest.written(answer)
        # 200 says that the books have had this key before. The key is ours: it was applied, and is ours to undo.
        entry = entry_id(response)
        if entry is None:
            # It may be there, and could never be undone: nobody should call that ok.
            message = "the books did not say under which id the entry stands"
            raise Unknown("answer-without-id", message, detail=response.text)
        return Applied(target_id=entry, receipt=Receipt(entry))

    def compensate(self, record: UndoRecord) -> None:
        """May be called twice for the same record: what is gone already needs no undoing."""
        entry = record.receipt_json(Receipt).entry
        rest.undone(self.request("DELETE", f"/entries/{entry}", record=record))

    def request(self, method: str, path: str, *, key: str = "", **more: object) -> http.Request:
        headers = {**self.headers, "idempotency-key": key} if key else self.headers
        return http.Request(method, self.base + path, headers=headers, timeout_ms=REQUEST_MS, **more)


def entry_id(response: http.Response) -> str | None:
    """The id of an entry, as the books answer it; one that could lead elsewhere within an address is none."""
    try:
        said = response.json()
    except ValueError:
        return None
    found = said.get("id") if isinstance(said, dict) else None
    return found if isinstance(found, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", found) else None


def blamed(response: http.Response) -> Failure:
    """A refusal with a pointer to the field of the record that the books blame."""
    failure = rest.failure(response)
    try:
        field = response.json()["field"]
    except (ValueError, TypeError, KeyError):
        return failure
    return rest.blame(failure, f"/{field}") if field in ("cents", "currency") else failure
