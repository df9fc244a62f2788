"""HTTP requests, run by the host.

Addresses outside the grant are refused, redirects are not followed, sizes and times are capped, and secrets are put on
the wire by the host::

    token = secrets.open("ERP_TOKEN")
    answer = http.post(url, json={"reference": "4711"}, headers={"authorization": http.bearer(token)})
"""

from __future__ import annotations

import json as _json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _host
from ._column import as_bytes
from .failure import Failure

if TYPE_CHECKING:
    from .record import Record
    from .roles.undo import UndoRecord
    from .secrets import Secret

__all__ = [
    "Basic",
    "HttpError",
    "Request",
    "Response",
    "SecretText",
    "Value",
    "basic",
    "bearer",
    "begin",
    "delete",
    "each",
    "get",
    "next",
    "post",
    "put",
    "send",
    "send_all",
]


@dataclass(frozen=True, slots=True)
class SecretText:
    """Text with a secret in it."""

    secret: Secret
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Basic:
    """``Basic`` and the base64 of ``user:secret``."""

    user: str
    secret: Secret


Value: TypeAlias = "str | SecretText | Basic"
Answer: TypeAlias = "Response | HttpError"


def bearer(secret: Secret) -> SecretText:
    """``Bearer`` and the secret, for the header ``authorization``."""
    return SecretText(secret, before="Bearer ")


def basic(user: str, secret: Secret) -> Basic:
    """HTTP Basic credentials with the secret as password."""
    return Basic(user, secret)


@dataclass(slots=True)
class Request:
    """A request to send.

    The URL is absolute, at most 8 KiB. ``query`` is added to it, percent-encoded by the host. ``host``,
    ``content-length``, ``connection`` and other hop-by-hop headers are refused. ``record`` is the one that the request is
    made for: puts the exchange into its history. ``timeout_ms`` is from sending to the last byte of the answer; 30,000
    unless told, and never more than what is left of the call's own time.
    """

    method: str
    url: str
    query: Mapping[str, Value] = field(default_factory=dict)
    headers: Mapping[str, Value] = field(default_factory=dict)
    body: bytes | str = b""
    json: Any = None
    timeout_ms: int | None = None
    record: Record | UndoRecord | None = None

    def __post_init__(self) -> None:
        if self.json is not None:
            self.body = _json.dumps(self.json, ensure_ascii=False, separators=(",", ":")).encode()
            if not any(name.lower() == "content-type" for name in self.headers):
                self.headers = {**self.headers, "content-type": "application/json"}
            self.json = None
        self.body = as_bytes(self.body)


@dataclass(slots=True)
class Response:
    """An answer. Header names are in lower case; the body has at most 4 MiB after decompression."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return str(self.body, "utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it is none."""
        return _json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this name, which is given in lower case."""
        return next_of(value for known, value in self.headers if known == name)

    @property
    def retry_after_ms(self) -> int | None:
        """What the header ``retry-after`` says, where it says seconds."""
        value = (self.header("retry-after") or "").strip()
        return int(value) * 1000 if value.isascii() and value.isdigit() and len(value) < 10 else None

    def failure(self, message: str | None = None) -> Failure:
        """A failure that tells of this answer: the code ``http-422`` and the like, the body as detail, ``Retry-After``."""
        said = message or f"the other system answered {self.status}"
        return Failure(f"http-{self.status}", said, detail=self.text or None, retry_after_ms=self.retry_after_ms)


def next_of(values: Iterator[str]) -> str | None:
    """The first, if there is one."""
    for value in values:
        return value
    return None


class HttpError(Exception):
    """There is no answer.

    ``reason`` is ``invalid``, ``not-granted``, ``not-connected`` (these were not sent), ``no-answer`` or ``too-large``
    (these may have been). Uncaught it becomes what it means for the record: `Reject`, `Retry` or `Unknown`.
    """

    _TEXTS = {
        "invalid": ("http-invalid-request", "the request is malformed"),
        "not-granted": ("http-not-granted", "the grant does not cover this address"),
        "not-connected": ("http-not-connected", "no connection was made"),
        "no-answer": ("http-no-answer", "the request may have been sent, and no complete answer came"),
        "too-large": ("http-answer-too-large", "the answer is larger than allowed; its status"),
    }

    def __init__(self, reason: str, what: str = "") -> None:
        self.reason = reason
        code, text = self._TEXTS[reason]
        self.failure = Failure(code, f"{text}: {what}" if what else text)
        super().__init__(self.failure.message)

    @property
    def may_have_been_sent(self) -> bool:
        """Whether the other side may have done something."""
        return self.reason in ("no-answer", "too-large")


def send(request: Request) -> Response:
    """Sends one request and waits for the answer. Raises `HttpError` if there is none."""
    return _given(_host.current().http_send([request], 1)[0])


def send_all(requests: Sequence[Request], in_flight: int = 8) -> list[Response | HttpError]:
    """Sends the requests, at most ``in_flight`` of them at once (1 to 64; the route may allow less).

    Returns when all are answered: one answer or error a request, in the order of the requests.
    """
    return _host.current().http_send(list(requests), in_flight)


def begin(request: Request) -> int:
    """Begins a request and goes on: the host sends it meanwhile. What comes of it is told by `next`.

    Returns the number by which `next` names it. Waits while 64 requests of the call are on their way, or as many as the
    route allows.
    """
    return _host.current().http_begin(request)


def next() -> tuple[int, Response | HttpError] | None:
    """Waits until one of the requests that were begun in this call has come to its end, whichever; each is told once.

    ``None`` when all were told. One that was not told when the call ends is ended with it.
    """
    return _host.current().http_next()


def each(requests: Iterator[Request] | Sequence[Request], in_flight: int = 8) -> Iterator[tuple[Request, Response | HttpError]]:
    """Sends requests, ``in_flight`` at once, and gives each with its answer as soon as it is there."""
    waiting = iter(requests)
    begun: dict[int, Request] = {}

    def fill() -> None:
        while len(begun) < in_flight:
            for request in waiting:
                begun[begin(request)] = request
                break
            else:
                return

    fill()
    while (told := next()) is not None:
        number, answer = told
        request = begun.pop(number)
        fill()
        yield request, answer


def get(url: str, **more: Any) -> Response:
    """A GET request, sent; further words are those of `Request`."""
    return send(Request("GET", url, **more))


def post(url: str, **more: Any) -> Response:
    """A POST request, sent; further words are those of `Request`."""
    return send(Request("POST", url, **more))


def put(url: str, **more: Any) -> Response:
    """A PUT request, sent; further words are those of `Request`."""
    return send(Request("PUT", url, **more))


def delete(url: str, **more: Any) -> Response:
    """A DELETE request, sent; further words are those of `Request`."""
    return send(Request("DELETE", url, **more))


def _given(answer: Answer) -> Response:
    if isinstance(answer, HttpError):
        raise answer
    return answer
