import unittest

from crossdock import testing
from crossdock.http import HttpError, Response
from ledger_entry import LedgerEntry

LINE = {"customer": "ann", "sku": "tea", "quantity": 2, "cents": 2500, "currency": "EUR"}


class Test(unittest.TestCase):
    def setUp(self):
        self.host = testing.Host()
        self.host.grant_secret("BOOKS_KEY", "s3cret")
        settings = {"base": "https://books.example.com/", "secret": "BOOKS_KEY", "account": "4400"}
        self.plugin = testing.plugin(LedgerEntry, settings)

    def test_it_is_posted_once_and_can_be_undone(self):
        self.host.server = lambda request: Response(201, b'{"id": "E-7"}')
        (done,) = testing.write(self.plugin, testing.record("A-1/1", LINE))
        self.assertEqual((done.outcome, done.target_id, done.receipt), ("ok", "E-7", b'{"entry":"E-7"}'))
        (sent,) = self.host.requests
        self.assertEqual(sent.url, "https://books.example.com/entries")
        self.assertEqual(sent.headers["idempotency-key"], done.key)
        self.assertEqual(self.host.rendered(sent.headers["authorization"]), "Bearer s3cret")
        self.host.server = lambda request: Response(404)
        self.assertEqual(testing.compensate(self.plugin, done)[0].outcome, "unchanged")
        self.assertEqual(self.host.requests[1].url, "https://books.example.com/entries/E-7")

    def test_what_is_not_known_is_not_called_ok(self):
        for answer in [Response(500), Response(201, b"thank you"), HttpError("no-answer", "lost")]:
            self.host.server = lambda request, answer=answer: answer
            (done,) = testing.write(self.plugin, testing.record("1", LINE))
            self.assertEqual(done.outcome, "unknown")

    def test_several_are_on_their_way_at_once(self):
        self.host.server = lambda request: Response(201, b'{"id": "E-7"}')
        records = [testing.record(str(number), LINE) for number in range(10)]
        done = testing.write(self.plugin, *records)
        self.assertEqual([it.outcome for it in done], ["ok"] * 10)
        self.assertEqual(self.host.most_in_flight, 4)

    def test_nothing_is_begun_without_time(self):
        self.host.left_ms = 4_000
        self.assertEqual(testing.write(self.plugin, testing.record("1", LINE))[0].outcome, "untouched")


if __name__ == "__main__":
    unittest.main()
