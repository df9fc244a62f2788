import unittest

from crossdock import testing
from crossdock.http import HttpError, Request, Response
from plugin import Plugin


class Test(unittest.TestCase):
    def before(self, api) -> Plugin:
        """The plugin, before an API that answers so."""
        host = testing.Host()
        host.grant_secret("API_KEY", "s3cret")
        host.server = api
        return testing.plugin(Plugin, base="https://erp.example.com", secret="API_KEY")

    def test_what_was_written_is_undone_by_a_fresh_instance(self) -> None:
        def api(request: Request) -> Response:
            if request.method == "POST":
                return Response(201, b'{ "id": 7 }')
            return Response(204 if request.url.endswith("/orders/7") else 404)

        (written,) = testing.write(self.before(api), testing.record("A-1", {"cents": 1250}))
        self.assertEqual((written.outcome, written.target_id), ("ok", "7"))
        (undone,) = testing.compensate(self.before(api), written)
        self.assertEqual(undone.outcome, "ok")

    def test_a_lost_answer_is_unknown(self) -> None:
        plugin = self.before(lambda request: HttpError("no-answer", "the connection was cut"))
        (written,) = testing.write(plugin, testing.record("A-1", {}))
        self.assertEqual(written.outcome, "unknown")


if __name__ == "__main__":
    unittest.main()
