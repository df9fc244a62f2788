"""The Crossdock plugin `{{name}}`: turns an order's price into cents, and drops cancelled orders."""

import re
from dataclasses import dataclass

from crossdock import CallError, Output, Record, Reject, Transformer, setting


@dataclass
class Settings:
    """What a route may set. From this comes the JSON Schema by which routes are checked and that editors show."""

    currency: str = setting("The currency of all prices, for example `EUR`.")


@dataclass
class Order:
    """A record as it comes. Members that are not named here are passed over."""

    customer: str
    status: str
    price: str


class Plugin(Transformer[Settings]):
    def start(self) -> None:
        if not self.settings.currency:
            raise CallError.invalid_settings("the currency is empty")  # Shown as a mistake in the route.

    def transform(self, record: Record, out: Output) -> None:
        """One record in; none, one or many out. `Reject` rejects the record, and the others pass."""
        order = record.json(Order)
        if order.status == "cancelled":
            return out.drop()
        priced = {"customer": order.customer, "cents": cents(order.price), "currency": self.settings.currency}
        out.json(priced)  # Call it again to split.


def cents(text: str) -> int:
    """The cents of an amount such as `12.50` or `12`."""
    amount = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{2}))?", text)
    if amount is None:
        raise Reject("not-an-amount", "the price is not an amount such as 12.50", detail=text, pointer="/price")
    return int(amount[1]) * 100 + int(amount[2] or 0)
