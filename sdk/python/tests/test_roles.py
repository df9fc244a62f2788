"""One outcome a record, whatever a plugin does."""

import unittest

from crossdock import (
    Answers,
    Applied,
    Batch,
    CallError,
    Compensate,
    Destination,
    Failure,
    Idempotency,
    More,
    NotApplied,
    NothingToUndo,
    Output,
    Page,
    Probe,
    Record,
    Reject,
    Retry,
    Source,
    Transformer,
    Unauthorized,
    Unchanged,
    Unknown,
    Untouched,
    http,
    log,
    metrics,
    rest,
    secrets,
    state,
    testing,
)
from crossdock.http import HttpError, Request, Response
from crossdock.testing import BrokenContract, record


class Transform(Transformer[None]):
    def transform(self, record: Record, out: Output) -> None:
        match record.text:
            case "same":
                out.copy()
            case "split":
                out.write("a")
                out.attributes({"part": "1"})
                out.write("b", {"part": "2"})
            case "drop":
                out.write("forgotten", {"part": "x"})
                out.drop()
            case "reject":
                out.write("forgotten")
                raise Reject("no", "never")
            case "retry":
                raise Retry("later", "not now", retry_after_ms=7)
            case "lost":
                raise HttpError("no-answer", "cut")
            case "full":
                state.put("key", b"x" * (65 << 10))
            case "bug":
                raise KeyError("bug")
            case "unwritable":
                out.json({1: object()})


class Write(Destination[None], Compensate, Probe):
    idempotency = Idempotency.PROBE

    def write(self, record: Record):
        self.written = getattr(self, "written", 0) + 1
        said = record.text
        kinds = {"reject": Reject, "retry": Retry, "unauthorized": Unauthorized, "unknown": Unknown}
        if said in kinds:
            raise kinds[said](said, "for a reason")
        if said == "untouched":
            raise Untouched
        if said == "unchanged":
            return Unchanged()
        if said == "secret":
            secrets.open("KEY")
        if said == "send":
            rest.written(Request("POST", "https://erp.example.com"))
        if said == "nothing":
            return None
        return Applied(target_id=f"T-{record.id}", receipt={"id": record.id})

    def compensate(self, record) -> None:
        if record.target_id == "T-gone":
            raise NothingToUndo
        if record.receipt_json()["id"] != record.id:
            raise Reject("other", "of another record")

    def probe(self, record: Record):
        if record.text == "lost":
            raise HttpError("no-answer", "cut")
        return Applied("T-1") if record.text == "applied" else NotApplied()


class Bulk(Destination[None]):
    def write_batch(self, batch: Batch, answers: Answers) -> None:
        for record in batch:
            if record.text != "forgotten":
                answers.set(record, Applied())


class Read(Source[None]):
    re_reads = True

    def read(self, checkpoint: bytes | None, page: Page) -> More:
        at = int(checkpoint or b"0")
        while at < 5 and not page.full:
            at += 1
            bad = Failure("bad-line", "no line") if at == 3 else None
            page.push(f"r{at}", {"n": at}, order_key="k", attributes={"odd": str(at % 2)}, unreadable=bad)
        page.checkpoint(str(at))
        return More.MORE if at < 5 else More.END


class Stuck(Source[None]):
    def read(self, checkpoint: bytes | None, page: Page) -> More:
        page.push("same", b"")
        return More.MORE


def records(*texts: str):
    return [record(text, text) for text in texts]


class Test(unittest.TestCase):
    def setUp(self) -> None:
        self.host = testing.Host()

    def test_transform(self) -> None:
        def check(text: str, outcome: str, *outputs: str, code: str | None = None) -> None:
            given = [record("before", "same"), record(text, text, attributes={"a": "1"}), record("after", "same")]
            before, answer, after = testing.transform(testing.plugin(Transform), *given)
            self.assertEqual((before.outcome, after.outcome), ("ok", "ok"))
            self.assertEqual((answer.outcome, [part.text for part in answer.outputs]), (outcome, list(outputs)), text)
            self.assertEqual(answer.failure and answer.failure.code, code)

        check("same", "ok", "same")
        check("split", "ok", "a", "b")
        check("drop", "dropped")
        check("reject", "rejected", code="no")
        check("retry", "retryable", code="later")
        check("lost", "retryable", code="http-no-answer")
        check("full", "rejected", code="state-too-large")
        check("nothing", "rejected", code="no-output")
        check("unwritable", "rejected", code="not-json")
        with self.assertRaises(KeyError):
            testing.transform(testing.plugin(Transform), record("1", "bug"))

    def test_attributes_of_outputs(self) -> None:
        given = [record("1", "same", attributes={"a": "1"}), record("2", "split", attributes={"a": "2"})]
        one, two = testing.transform(testing.plugin(Transform), *given)
        self.assertEqual([part.attributes for part in one.outputs], [{"a": "1"}])
        self.assertEqual([part.attributes for part in two.outputs], [{"a": "2", "part": "1"}, {"a": "2", "part": "2"}])

    def test_write(self) -> None:
        words = ["applied", "unchanged", "reject", "retry", "unauthorized", "unknown", "untouched", "secret"]
        done = testing.write(testing.plugin(Write), *records(*words))
        outcomes = ["ok", "unchanged", "rejected", "retryable", "unauthorized", "unknown", "untouched", "unauthorized"]
        self.assertEqual([it.outcome for it in done], outcomes)
        self.assertEqual((done[0].target_id, done[0].receipt), ("T-applied", b'{"id":"applied"}'))
        self.assertEqual(done[7].failure.code, "secret-not-granted")
        with self.assertRaises(TypeError):
            testing.write(testing.plugin(Write), *records("nothing"))

    def test_write_stops(self) -> None:
        plugin = testing.plugin(Write)
        done = testing.write(plugin, *records("a", "reject", "b"), stop_at_first_failure=True)
        self.assertEqual([it.outcome for it in done], ["ok", "rejected", "untouched"])
        self.assertEqual(plugin.written, 2)
        for host in ({"left_ms": 10}, {"stop": True}):
            vars(self.host).update(host)
            self.assertEqual(testing.write(plugin, *records("a"))[0].outcome, "untouched")
            self.assertEqual(plugin.written, 2)
            self.host.left_ms = 30_000

    def test_what_answers_mean(self) -> None:
        def check(answer: Response | HttpError, outcome: str, code: str | None, wait: int | None = None) -> None:
            self.host.server = lambda request: answer
            (done,) = testing.write(testing.plugin(Write), *records("send"))
            self.assertEqual(done.outcome, outcome, answer)
            self.assertEqual(done.failure and (done.failure.code, done.failure.retry_after_ms), code and (code, wait))

        check(Response(204), "ok", None)
        check(Response(401), "unauthorized", "http-401")
        check(Response(429, headers=[("retry-after", "7")]), "retryable", "http-429", 7000)
        check(Response(503, headers=[("retry-after", "Thu, 01 Jan")]), "retryable", "http-503")
        check(Response(303), "unknown", "http-303")
        check(Response(422), "rejected", "http-422")
        check(Response(500), "unknown", "http-500")
        check(Response(501), "rejected", "http-501")
        check(HttpError("no-answer"), "unknown", "http-no-answer")
        check(HttpError("too-large", "200"), "unknown", "http-answer-too-large")
        check(HttpError("not-connected"), "retryable", "http-not-connected")
        check(HttpError("invalid"), "rejected", "http-invalid-request")

    def test_what_is_forgotten_is_unknown(self) -> None:
        done = testing.write(testing.plugin(Bulk), *records("a", "forgotten"))
        self.assertEqual([it.outcome for it in done], ["ok", "unknown"])
        self.assertEqual(done[1].failure.code, "no-outcome")

    def test_undo_and_probe(self) -> None:
        plugin = testing.plugin(Write)
        done = testing.write(plugin, *records("a", "gone", "b"))
        undone = testing.compensate(plugin, *done)
        self.assertEqual([(it.id, it.outcome) for it in undone], [("b", "ok"), ("gone", "unchanged"), ("a", "ok")])
        done[0].receipt = b"?"
        self.assertEqual(testing.compensate(plugin, done[0])[0].failure.code, "bad-receipt")
        found = testing.probe(plugin, *records("applied", "not", "lost"))
        self.assertEqual([it.outcome for it in found], ["ok", "dropped", "retryable"])
        self.host.left_ms = 10
        self.assertEqual(testing.probe(plugin, *records("applied"))[0].failure.code, "no-time-left")

    def test_read(self) -> None:
        pages = testing.read_all(testing.plugin(Read), max_records=2)
        self.assertEqual([[it.id for it in page.records] for page in pages], [["r1", "r2"], ["r3", "r4"], ["r5"]])
        bad = pages[1].records[0]
        self.assertEqual((bad.unreadable.code, bad.order_key, bad.attributes), ("bad-line", "k", {"odd": "1"}))
        with self.assertRaises(BrokenContract):
            testing.read(testing.plugin(Stuck), b"")

    def test_the_contract_is_insisted_on(self) -> None:
        class Bad(Transformer[None]):
            def transform(self, record: Record, out: Output) -> None:
                raise Reject("Not A Code", "x")

        with self.assertRaises(BrokenContract):
            testing.transform(testing.plugin(Bad), record("1", "x"))

    def test_what_the_host_offers(self) -> None:
        self.host.grant_secret("KEY", "value")
        with self.assertRaises(CallError):
            secrets.open("KEY").reveal()
        self.host.grant_secret("SEEN", "value", reveal=True)
        self.assertEqual(secrets.open("SEEN").reveal(), b"value")
        state.put("a", "1")
        self.assertEqual((state.get("a"), state.get("b")), (b"1", None))
        with self.assertRaises(state.StateError):
            state.put("a", b"x" * (65 << 10))
        state.delete("a")
        log.warn("said")
        metrics.count("seen", 2)
        metrics.gauge("level", 1)
        self.assertEqual((self.host.messages, self.host.counters), ([("warn", "said")], {"seen": 2}))
        self.assertEqual((self.host.gauges, self.host.state), ({"level": 1.0}, {}))

    def test_requests_in_parallel(self) -> None:
        self.host.server = lambda request: Response(200, request.url.encode())
        requests = [Request("GET", f"https://a.example/{number}") for number in range(10)]
        answers = http.send_all(requests, in_flight=3)
        self.assertEqual([it.text for it in answers], [it.url for it in requests])
        each = [(request.url, answer.text) for request, answer in http.each(iter(requests), in_flight=3)]
        self.assertEqual(sorted(each), sorted((it.url, it.url) for it in requests))
        self.assertEqual(self.host.most_in_flight, 3)
        with self.assertRaises(HttpError):
            http.get("https://a.example", headers={"Host": "b.example"})
        http.post("https://a.example", json={"a": 1})
        self.assertEqual(self.host.requests[-1].body, b'{"a":1}')
        self.assertEqual(self.host.requests[-1].headers, {"content-type": "application/json"})


if __name__ == "__main__":
    unittest.main()
