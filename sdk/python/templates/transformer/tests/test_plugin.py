import unittest

from crossdock import CallError, testing
from plugin import Plugin


class Test(unittest.TestCase):
    def setUp(self) -> None:
        self.plugin = testing.plugin(Plugin, currency="EUR")

    def test_prices_become_cents(self) -> None:
        order = {"customer": "ann", "status": "open", "price": "12.50"}
        (answer,) = testing.transform(self.plugin, testing.record("A-1", order))
        self.assertEqual(answer.outputs[0].json(), {"customer": "ann", "cents": 1250, "currency": "EUR"})

    def test_cancelled_orders_are_dropped(self) -> None:
        order = {"customer": "bob", "status": "cancelled", "price": "?"}
        (answer,) = testing.transform(self.plugin, testing.record("A-2", order))
        self.assertEqual(answer.outcome, "dropped")

    def test_what_is_no_amount_is_rejected(self) -> None:
        order = {"customer": "eve", "status": "open", "price": "12,50"}
        (answer,) = testing.transform(self.plugin, testing.record("A-3", order))
        self.assertEqual((answer.failure.code, answer.failure.pointer), ("not-an-amount", "/price"))

    def test_a_currency_is_needed(self) -> None:
        with self.assertRaises(CallError):
            testing.plugin(Plugin, currency="")


if __name__ == "__main__":
    unittest.main()
