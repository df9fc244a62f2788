"""Write a Crossdock plugin in Python: a source, a transformer or a destination that runs sandboxed in any route.

::

    from dataclasses import dataclass
    from crossdock import Output, Record, Reject, Transformer, setting

    @dataclass
    class Settings:
        smallest: int = setting("Orders below this are dropped.", minimum=0)

    class Large(Transformer[Settings]):
        def transform(self, record: Record, out: Output) -> None:
            order = record.json()
            if "cents" not in order:
                raise Reject("no-amount", "the order has no amount", pointer="/cents")
            if order["cents"] < self.settings.smallest:
                return out.drop()
            out.json(order)

A plugin is one class with a role, in the module that ``pyproject.toml`` names under ``[tool.crossdock]``. Three rules hold
everywhere: one outcome a record; a failure is for the person who has to act; an instance can end between any two calls.
"""

from . import control, http, log, metrics, rest, secrets, state
from .describe import Atomicity, Idempotency, Want, want_http, want_read_dir, want_secret, want_write_dir
from .failure import CallError, ErrorKind, Failure, Reject, Retry, Unauthorized, Unknown, Untouched
from .record import Batch, Record
from .roles.destination import Answers, Applied, Destination, Unchanged, Written
from .roles.probe import Finding, NotApplied, Probe
from .roles.source import More, Page, Source
from .roles.transformer import Output, Transformer
from .roles.undo import Compensate, NothingToUndo, UndoBatch, UndoRecord
from .shape import setting

__version__ = "0.1.0"

__all__ = [
    "Answers",
    "Applied",
    "Atomicity",
    "Batch",
    "CallError",
    "Compensate",
    "Destination",
    "ErrorKind",
    "Failure",
    "Finding",
    "Idempotency",
    "More",
    "NotApplied",
    "NothingToUndo",
    "Output",
    "Page",
    "Probe",
    "Record",
    "Reject",
    "Retry",
    "Source",
    "Transformer",
    "Unauthorized",
    "Unchanged",
    "UndoBatch",
    "UndoRecord",
    "Unknown",
    "Untouched",
    "Want",
    "Written",
    "control",
    "http",
    "log",
    "metrics",
    "rest",
    "secrets",
    "setting",
    "state",
    "want_http",
    "want_read_dir",
    "want_secret",
    "want_write_dir",
]
