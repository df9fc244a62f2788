"""The program of every component in Python: the interpreter, the kit, and a place where the plugin is put in.

componentize-py runs this module once, while the engine is built, and keeps the memory as it is then. So everything that is
here is loaded when an instance starts. The plugin itself is not there yet: `crossdock plugin build` writes its source into
the slot, and it is imported when the host asks for the description. A plugin's component therefore holds nothing that is
not in the engine or in the plugin's own folder.
"""

import base64  # noqa: F401  What plugins use most is loaded once, here.
import collections  # noqa: F401
import csv  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import functools  # noqa: F401
import hashlib  # noqa: F401
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import itertools  # noqa: F401
import json
import linecache
import marshal
import math  # noqa: F401
import os
import re  # noqa: F401
import string  # noqa: F401
import sys
import textwrap  # noqa: F401
import time  # noqa: F401
import traceback
import urllib.parse  # noqa: F401
import zlib

import wit_world.exports as exports
import wit_world.imports as imports
import wit_world.imports.control
import wit_world.imports.http
import wit_world.imports.log
import wit_world.imports.metrics
import wit_world.imports.secrets
import wit_world.imports.state
import wit_world.imports.types  # noqa: F401
from componentize_py_types import Err

import crossdock
from crossdock import _host, _plugin
from crossdock._column import Attribute, Column, PackedBatch
from crossdock.roles import base, destination, probe, source, transformer, undo

# --- The slot -------------------------------------------------------------------------------------------------------------

# What the tool looks for. In two parts, so that the whole stands in memory once.
_MARK = (b"crossdock:plugin", b"-source-slot")
SLOT_MAX_BYTES = 1 << 20
_FILL = 0xA5


def _slot():
    mark = len(_MARK[0]) + len(_MARK[1])
    slot = bytearray(mark + 4 + SLOT_MAX_BYTES)
    slot[: len(_MARK[0])] = _MARK[0]
    slot[len(_MARK[0]) : mark] = _MARK[1]
    # Never zero: zeros are left out of the file.
    for index in range(mark, len(slot)):
        slot[index] = _FILL
    return slot, mark


SLOT, _AT = _slot()


def _payload():
    """What the tool wrote: a length, then JSON with the plugin's manifest and its modules."""
    size = int.from_bytes(SLOT[_AT : _AT + 4], "little")
    if size > SLOT_MAX_BYTES:
        raise RuntimeError("this is an engine without a plugin")
    return json.loads(bytes(SLOT[_AT + 4 : _AT + 4 + size]))


# --- The standard library -------------------------------------------------------------------------------------------------

# Needs what a sandbox does not have, or nobody's plugin needs it.
_LEFT_OUT = {
    "__phello__", "_pyrepl", "asyncio", "concurrent", "ctypes", "curses", "dbm", "ensurepip", "idlelib", "lib-dynload",
    "multiprocessing", "pydoc_data", "site-packages", "sqlite3", "test", "tests", "tkinter", "turtledemo", "venv",
    "wsgiref", "xmlrpc", "__pycache__", "config-3.14-wasm32-wasi", "sysconfig",
}  # fmt: skip
_LEFT_OUT_FILES = {
    "_android_support.py", "_apple_support.py", "_ios_support.py", "_osx_support.py", "_aix_support.py", "antigravity.py",
    "cProfile.py", "ftplib.py", "imaplib.py", "mailbox.py", "pdb.py", "poplib.py", "profile.py", "pstats.py", "pty.py",
    "pydoc.py", "smtplib.py", "socketserver.py", "this.py", "trace.py", "turtle.py", "webbrowser.py",
}  # fmt: skip


def _library(root):
    """The standard library's modules as packed code, by name: there are no files where the plugin runs."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for file in sorted(files):
            if not file.endswith(".py") or file in _LEFT_OUT_FILES or file.startswith("_sysconfig"):
                continue
            path = os.path.join(folder, file)
            inner = os.path.relpath(path, root)
            name = inner[:-3].replace("/", ".")
            package = name.endswith(".__init__")
            name = name.removesuffix(".__init__")
            if name in sys.modules or name == "__init__":
                continue
            with open(path, "rb") as text:
                code = compile(text.read(), inner, "exec", dont_inherit=True, optimize=2)
            found[name] = (package, zlib.compress(marshal.dumps(code), 9))
    return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the plugin's own modules, and those of the standard library."""

    def __init__(self, library):
        self.library = library
        self.sources = {}

    def give(self, files):
        for path, text in files.items():
            name = path.removesuffix(".py").replace("/", ".")
            package = name == "__init__" or name.endswith(".__init__")
            self.sources[name.removesuffix(".__init__")] = (package, path, text)
            # Tracebacks show the line; there is no file to read it from.
            linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        # It would look for other files where there are none.
        linecache.updatecache = lambda *_, **__: []
        linecache.checkcache = lambda *_: None

    def find_spec(self, name, path=None, target=None):
        known = self.sources.get(name) or self.library.get(name)
        if known is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=known[0])

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        own = self.sources.get(module.__name__)
        if own is not None:
            module.__file__ = own[1]
            code = compile(own[2], own[1], "exec", dont_inherit=True)
        else:
            code = marshal.loads(zlib.decompress(self.library[module.__name__][1]))
        exec(code, module.__dict__)

    def get_source(self, name):
        own = self.sources.get(name)
        return None if own is None else own[2]


_FINDER = _Finder(_library("/python"))

# --- What the plugin may not do, said in words ------------------------------------------------------------------------------

_HAS_FILES = False
_FILE_EVENTS = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chdir", "os.utime"}


def _audit(event, arguments):
    if event in _FILE_EVENTS and _RUNNING and not _HAS_FILES:
        raise PermissionError(
            f"{arguments[0]!r}: this plugin does not say that it wants a directory; add `wants = [want_read_dir(\"…\")]` to its class"
        )
    if event == "socket.__new__":
        raise PermissionError("sockets are not offered to plugins; use `crossdock.http`")


_RUNNING = False

# --- The host -------------------------------------------------------------------------------------------------------------


def _level(name):
    return getattr(imports.log.Level, name.upper())


def _reason(error):
    return error.value.name.lower().replace("_", "-")


class _Guest:
    """The host that runs this component."""

    def log(self, level, message):
        imports.log.write(_level(level), message)

    def count(self, name, delta):
        imports.metrics.count(name, delta)

    def gauge(self, name, value):
        imports.metrics.gauge(name, float(value))

    def state_get(self, key):
        return imports.state.get(key)

    def state_set(self, key, value):
        try:
            imports.state.set(key, value)
        except Err as error:
            return f"state-{_reason(error)}"
        return None

    def state_delete(self, key):
        imports.state.delete(key)

    def secret_open(self, name):
        try:
            return imports.secrets.open(name)
        except Err as error:
            return _reason(error)

    def secret_reveal(self, secret):
        try:
            return imports.secrets.reveal(secret)
        except Err as error:
            return _reason(error)

    def http_send(self, requests, in_flight):
        return [_answer(it) for it in imports.http.send([_request(it) for it in requests], in_flight)]

    def http_begin(self, request):
        return imports.http.begin(_request(request))

    def http_next(self):
        told = imports.http.next()
        return None if told is None else (told[0], _answer(told[1]))

    def now_ms(self):
        return imports.control.now_ms()

    def remaining_ms(self):
        return imports.control.remaining_ms()

    def cancelled(self):
        return imports.control.cancelled()


def _field(name, value):
    http = imports.http
    if isinstance(value, crossdock.http.SecretText):
        value = http.Value_Secret(http.SecretText(value.before, value.secret.handle, value.after))
    elif isinstance(value, crossdock.http.Basic):
        value = http.Value_Basic(http.BasicCredentials(value.user, value.secret.handle))
    else:
        value = http.Value_Text(str(value))
    return http.Field(name, value)


def _request(request):
    return imports.http.Request(
        request.method,
        request.url,
        [_field(name, value) for name, value in request.query.items()],
        [_field(name, value) for name, value in request.headers.items()],
        request.body,
        request.timeout_ms,
        None if request.record is None else request.record.handle,
    )


def _answer(answer):
    if not isinstance(answer, Err):
        answer = answer.value
        return crossdock.http.Response(answer.status, answer.body, answer.headers)
    kind = type(answer.value).__name__.removeprefix("HttpError_")
    reason = {"Invalid": "invalid", "NotGranted": "not-granted", "NotConnected": "not-connected"}
    reason |= {"NoAnswer": "no-answer", "TooLarge": "too-large"}
    return crossdock.http.HttpError(reason[kind], str(answer.value.value))


# --- Across the boundary ----------------------------------------------------------------------------------------------------

_types = imports.types


def _failure(failure):
    return _types.Failure(failure.code, failure.message, failure.detail, failure.pointer, failure.retry_after_ms)


def _failures(handles, failures):
    return [_types.RecordFailure(handles[index], _failure(failure)) for index, failure in failures.items()]


def _column(column):
    return _types.Column(column.data, column.offsets)


def _attributes(attributes):
    return [_types.Attribute(it.name, _column(it.values)) for it in attributes]


def _own(column):
    return Column(column.data, column.offsets)


def _batch(batch):
    attributes = [Attribute(it.name, _own(it.values)) for it in batch.attributes]
    return PackedBatch(batch.handles, _own(batch.ids), _own(batch.payloads), attributes)


def _enum(kind, value):
    return getattr(kind, value.replace("-", "_").upper())


# --- The plugin -------------------------------------------------------------------------------------------------------------


class _Loaded:
    """The plugin's class, and its one instance once it is configured."""

    kind = None
    manifest = None
    instance = None


def _load():
    global _RUNNING, _HAS_FILES
    payload = _payload()
    _Loaded.manifest = payload
    _FINDER.give(payload["files"])
    sys.path[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, _FINDER]
    _HAS_FILES = payload["reads_files"]
    _RUNNING = True
    sys.addaudithook(_audit)
    _host.use(_Guest())
    _Loaded.kind = _plugin.find(importlib.import_module(payload["entry"]))


def _shown(error):
    """The traceback in the plugin's own words: its files and lines, without those of the kit."""
    told = traceback.TracebackException.from_exception(error, compact=True)
    own = {path for _, path, _ in _FINDER.sources.values()}
    seen = [told]
    for one in seen:
        one.stack[:] = [frame for frame in one.stack if frame.filename in own]
        seen.extend(it for it in (one.__cause__, one.__context__) if it is not None)
    return "".join(told.format(colorize=False))


def _calls(function):
    """A call of the host. What is not meant for it ends the instance, with the traceback on stderr."""

    @functools.wraps(function)
    def call(*arguments):
        try:
            return function(*arguments)
        except crossdock.CallError as error:
            kind = _enum(_types.ErrorKind, error.kind.value)
            raise Err(_types.CallError(kind, _failure(error.failure))) from None
        except BaseException as error:
            # One write: the host keeps what was written last.
            sys.stderr.write(_shown(error))
            sys.stderr.flush()
            os.abort()

    return call


class Describe(exports.Describe):
    @_calls
    def describe(self):
        if _Loaded.kind is None:
            _load()
        kind, manifest, wit = _Loaded.kind, _Loaded.manifest, exports.describe
        wants = [getattr(wit, "Want_" + it.kind.title().replace("-", ""))(it.what_for) for it in kind.wants]
        return wit.Description(
            manifest["name"],
            manifest["version"],
            _plugin.summary_of(kind, manifest["description"]),
            _enum(wit.Role, _plugin.role_of(kind)),
            json.dumps(base.schema_of(kind), ensure_ascii=False),
            wants,
            kind.max_batch,
        )


class Lifecycle(exports.Lifecycle):
    @_calls
    def configure(self, settings):
        plugin = _Loaded.instance = base.configured(_Loaded.kind, json.loads(settings))
        wit = exports.lifecycle
        return wit.Abilities(
            getattr(plugin, "re_reads", False),
            getattr(plugin, "pure", False),
            _enum(wit.Idempotency, plugin.idempotency.value if hasattr(plugin, "idempotency") else "none"),
            _enum(wit.Atomicity, plugin.atomicity.value if hasattr(plugin, "atomicity") else "best-effort"),
            isinstance(plugin, crossdock.Compensate) and plugin.compensates(),
        )

    @_calls
    def check(self):
        _Loaded.instance.check()

    @_calls
    def close(self):
        if _Loaded.instance is not None:
            _Loaded.instance.close()


if hasattr(exports, "Transformer"):

    class Transformer(exports.Transformer):
        @_calls
        def transform(self, batch):
            done = transformer.transform(_Loaded.instance, _batch(batch))
            failures = _failures(batch.handles, done.failures)
            payloads, attributes = _column(done.payloads), _attributes(done.attributes)
            return exports.transformer.Transformed(batch.handles, done.codes, done.outputs, payloads, attributes, failures)


if hasattr(exports, "Source"):

    class Source(exports.Source):
        @_calls
        def read(self, checkpoint, limits):
            page = source.read(_Loaded.instance, checkpoint, limits.max_records, limits.max_bytes)
            wit = exports.source
            return wit.Page(
                _column(page.ids),
                _column(page.payloads),
                _attributes(page.attributes),
                _column(page.order_keys),
                [wit.Unreadable(index, _failure(failure)) for index, failure in page.unreadable.items()],
                page.checkpoint,
                _enum(wit.More, page.more.value),
            )

        @_calls
        def ack(self, checkpoint):
            _Loaded.instance.ack(checkpoint)


if hasattr(exports, "Destination"):

    class Destination(exports.Destination):
        @_calls
        def write(self, batch, keys, options):
            done = destination.write(_Loaded.instance, _batch(batch), _own(keys), options.stop_at_first_failure)
            failures = _failures(batch.handles, done.failures)
            ids, receipts = _column(done.target_ids), _column(done.receipts)
            return exports.destination.Written(batch.handles, done.codes, ids, receipts, failures)


if hasattr(exports, "Compensate"):

    class Compensate(exports.Compensate):
        @_calls
        def compensate(self, batch):
            given = undo.UndoBatch(
                batch.handles, _own(batch.ids), _own(batch.keys), _own(batch.target_ids), _own(batch.receipts)
            )
            done = undo.compensate(_Loaded.instance, given)
            return exports.compensate.Undone(batch.handles, done.codes, _failures(batch.handles, done.failures))


if hasattr(exports, "Probe"):

    class Probe(exports.Probe):
        @_calls
        def probe(self, batch, keys):
            done = probe.probe(_Loaded.instance, _batch(batch), _own(keys))
            failures = _failures(batch.handles, done.failures)
            ids, receipts = _column(done.target_ids), _column(done.receipts)
            return exports.probe.Probed(batch.handles, done.codes, ids, receipts, failures)


