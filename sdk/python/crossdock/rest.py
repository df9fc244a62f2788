"""What an answer over HTTP says of the record that was sent, by the custom of HTTP.

======================================================  ==================================================
answer                                                  outcome
======================================================  ==================================================
2xx                                                     the answer is given back
401, 403, 407                                           `Unauthorized`
408, 425, 429, 503                                      `Retry`, after the time of ``Retry-After``
other 3xx and 4xx, 501, 505                             `Reject`
303, other 5xx                                          `Unknown`: it may have been applied
none, and the request may have been sent                `Unknown`
none, and nothing was sent                              `Retry`, but `Reject` if the request is malformed
======================================================  ==================================================

An API that means something else by a status is asked about that status first.
"""

from __future__ import annotations

import json as _json
from dataclasses import replace

from .failure import CallError, Failure, NotSuccessful, Reject, Retry, Unauthorized, Unknown
from .http import HttpError, Request, Response, send
from .roles.undo import NothingToUndo

__all__ = ["answered", "failure", "undone", "written"]

_WORDS = ("detail", "message", "error", "error_description", "title")
"""Where APIs say in words what was wrong: RFC 9457's and what others use."""


def _meaning(status: int) -> type[NotSuccessful] | None:
    if 200 <= status < 300:
        return None
    if status in (401, 403, 407):
        return Unauthorized
    if status in (408, 425, 429, 503):
        # The server says that it did not begin.
        return Retry
    # 303 is "look there": it may be done, or not. What breaks may have done its work before.
    return Reject if (300 <= status < 500 and status != 303) or status in (501, 505) else Unknown


def failure(response: Response) -> Failure:
    """The failure that an answer tells of: the code ``http-422``, the other system's own words if it answered with JSON that
    has some, its answer as the detail, and how long it asks to wait."""
    said = f"the other system answered {response.status}"
    try:
        body = _json.loads(response.body)
    except ValueError:
        body = None
    if isinstance(body, dict):
        words = (body[name].strip() for name in _WORDS if isinstance(body.get(name), str))
        said += next((f": {text}" for text in words if text), "")
    return response.failure(said)


def _given(answer: Request | Response | HttpError) -> Response:
    if isinstance(answer, Request):
        return send(answer)
    if isinstance(answer, HttpError):
        raise answer
    return answer


def written(answer: Request | Response | HttpError) -> Response:
    """What a record's own request came to: the answer if it says that the record was applied.

    A request is sent first. Raises what else it means for the record, as in the table above.
    """
    response = _given(answer)
    meaning = _meaning(response.status)
    if meaning is not None:
        raise meaning(failure(response))
    return response


def undone(answer: Request | Response | HttpError) -> None:
    """What the request that undoes a record came to: as `written`, but 404 and 410 mean `NothingToUndo`."""
    response = _given(answer)
    if response.status in (404, 410):
        raise NothingToUndo
    written(response)


def answered(answer: Request | Response | HttpError) -> Response:
    """What a request came to on which a whole call depends, such as that of `check` or of a source's page.

    Raises `CallError` unless the status is 2xx.
    """
    try:
        response = _given(answer)
    except HttpError as error:
        if error.reason == "not-granted":
            raise CallError.not_granted(error.failure) from None
        if error.reason == "invalid":
            raise CallError.invalid_settings(error.failure) from None
        raise CallError.unavailable(error.failure) from None
    meaning = _meaning(response.status)
    if meaning is Unauthorized:
        raise CallError.unauthorized(failure(response))
    if meaning is not None:
        raise CallError.unavailable(failure(response))
    return response


def blame(said: Failure, pointer: str) -> Failure:
    """The same failure with a pointer to the field to blame."""
    return replace(said, pointer=pointer)
