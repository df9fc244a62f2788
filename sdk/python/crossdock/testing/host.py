"""The host of a test: what the plugin asks for is answered from what the test has set up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .. import _host
from ..http import Answer, Basic, HttpError, Request, Response, SecretText, Value

Server = Callable[[Request], Response | HttpError]

_HEADERS_REFUSED = {"host", "content-length", "connection", "transfer-encoding", "upgrade", "te", "trailer"}


class Host:
    """A host for tests; the one that was made last is the one that the plugin talks to.

    Its clock and the time that is left stand still. No secret and no address is granted until the test says so.
    """

    def __init__(self) -> None:
        self.clock_ms = 0
        """What the clock says."""
        self.left_ms = 30_000
        """What is left of each call."""
        self.stop = False
        """Whether the run was asked to stop."""
        self.server: Server | None = None
        """Answers all requests; ``None`` grants no address."""
        self.requests: list[Request] = []
        """What was sent, in order."""
        self.messages: list[tuple[str, str]] = []
        """Level and text of each message that was logged."""
        self.counters: dict[str, int] = {}
        self.gauges: dict[str, float] = {}
        self.state: dict[str, bytes] = {}
        self.most_in_flight = 0
        """The most requests that were on their way at once."""
        self._secrets: list[tuple[str, str, bool]] = []
        self._answered: deque[tuple[int, Answer]] = deque()
        self._begun = 0
        _host.use(self)

    def grant_secret(self, name: str, value: str, *, reveal: bool = False) -> None:
        """Grants a secret, which the plugin may see if ``reveal``."""
        self._secrets.append((name, value, reveal))

    def rendered(self, value: Value) -> str:
        """What stands on the wire for a header or query value, secrets included. Basic credentials are not encoded."""
        if isinstance(value, SecretText):
            return f"{value.before}{self._secrets[value.secret.handle][1]}{value.after}"
        if isinstance(value, Basic):
            return f"Basic {value.user}:{self._secrets[value.secret.handle][1]}"
        return value

    # What every host offers.

    def log(self, level: str, message: str) -> None:
        self.messages.append((level, message))

    def count(self, name: str, delta: int) -> None:
        if delta < 0:
            raise ValueError("a counter only grows")
        self.counters[name] = self.counters.get(name, 0) + delta

    def gauge(self, name: str, value: float) -> None:
        self.gauges[name] = float(value)

    def state_get(self, key: str) -> bytes | None:
        return self.state.get(key)

    def state_set(self, key: str, value: bytes) -> str | None:
        if not 1 <= len(key.encode()) <= 256 or len(value) > 64 << 10:
            return "state-too-large"
        others = sum(len(known) for name, known in self.state.items() if name != key)
        if others + len(value) > 1 << 20:
            return "state-quota-reached"
        self.state[key] = value
        return None

    def state_delete(self, key: str) -> None:
        self.state.pop(key, None)

    def secret_open(self, name: str) -> int | str:
        names = [known for known, _, _ in self._secrets]
        return names.index(name) if name in names else "not-granted"

    def secret_reveal(self, secret: int) -> bytes | str:
        _, value, reveal = self._secrets[secret]
        return value.encode() if reveal else "not-revealed"

    def http_send(self, requests: list[Request], in_flight: int) -> list[Answer]:
        self.most_in_flight = max(self.most_in_flight, min(in_flight, len(requests)))
        return [self._answer(request) for request in requests]

    def http_begin(self, request: Request) -> int:
        self._begun += 1
        self._answered.append((self._begun, self._answer(request)))
        self.most_in_flight = max(self.most_in_flight, len(self._answered))
        return self._begun

    def http_next(self) -> tuple[int, Answer] | None:
        return self._answered.popleft() if self._answered else None

    def now_ms(self) -> int:
        return self.clock_ms

    def remaining_ms(self) -> int:
        return self.left_ms

    def cancelled(self) -> bool:
        return self.stop

    def _answer(self, request: Request) -> Answer:
        self.requests.append(request)
        if not request.url.startswith(("http://", "https://")) or not request.method.isupper():
            return HttpError("invalid", f"{request.method} {request.url}")
        refused = [name for name in request.headers if name.lower() in _HEADERS_REFUSED]
        if refused:
            return HttpError("invalid", f"the header {refused[0]} is the host's")
        if self.server is None:
            return HttpError("not-granted", request.url)
        return self.server(request)
