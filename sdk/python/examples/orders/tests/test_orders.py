import unittest

from crossdock import CallError, testing
from orders import Orders


def order(**other):
    item = {"sku": "tea", "quantity": 2, "price": "12.50"}
    return {"number": "A-1", "customer": "ann", "status": "open", "items": [item], **other}


class Test(unittest.TestCase):
    def setUp(self):
        self.plugin = testing.plugin(Orders, currency="EUR")

    def test_a_line_becomes_a_record(self):
        (answer,) = testing.transform(self.plugin, testing.record("A-1", order()))
        line = {"order": "A-1", "line": 1, "customer": "ann", "sku": "tea", "quantity": 2, "cents": 2500}
        self.assertEqual([part.json() for part in answer.outputs], [{**line, "currency": "EUR"}])
        self.assertEqual(answer.outputs[0].attributes, {"order": "A-1"})

    def test_amounts_are_exact(self):
        for price, cents in [("12.50", 2500), ("12.5", 2500), ("12", 2400), ("0.05", 10), ("007", 1400)]:
            items = [{"sku": "tea", "quantity": 2, "price": price}]
            (answer,) = testing.transform(self.plugin, testing.record("1", order(items=items)))
            self.assertEqual(answer.outputs[0].json()["cents"], cents, price)

    def test_what_is_no_amount_is_rejected(self):
        for price in ["", ".", "12.", ".5", "12,50", "1.234", "-1", "+1", " 1", "1e2", "١"]:
            items = [{"sku": "tea", "quantity": 2, "price": price}]
            (answer,) = testing.transform(self.plugin, testing.record("1", order(items=items)))
            self.assertEqual((answer.outcome, answer.failure.code), ("rejected", "not-an-amount"), price)
            self.assertEqual(answer.failure.pointer, "/items/0/price")

    def test_a_currency_is_three_letters(self):
        with self.assertRaises(CallError):
            testing.plugin(Orders, currency="euro")


if __name__ == "__main__":
    unittest.main()
