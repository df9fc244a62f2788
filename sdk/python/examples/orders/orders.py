"""Makes one record of each line of an order, with amounts in cents. It is pure and wants no grants."""

import re
from dataclasses import dataclass

from crossdock import CallError, Failure, Output, Record, Reject, Transformer, setting

# The most cents that every system can count exactly: JSON's numbers are often kept as floating-point ones.
CENTS_MAX = 2**53 - 1
AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]{1,2}))?")


@dataclass
class Settings:
    """What a route may set."""

    currency: str = setting("The currency of all prices: three capital letters, for example `EUR`.", pattern="^[A-Z]{3}$")
    items_max: int = setting("The most lines that an order may have.", default=100, minimum=1)


@dataclass
class Item:
    sku: str
    quantity: int
    price: str


@dataclass
class Order:
    """An order as it comes. What is not named here is passed over."""

    number: str
    customer: str
    status: str
    items: list[Item]


class Orders(Transformer[Settings]):
    def start(self) -> None:
        # The host goes by the schema already; a test or another host may not.
        if not re.fullmatch("[A-Z]{3}", self.settings.currency):
            message = f"the currency `{self.settings.currency}` is not three capital letters"
            raise CallError.invalid_settings(Failure("invalid-settings", message, pointer="/currency"))

    def transform(self, record: Record, out: Output) -> None:
        order = record.json(Order)  # Anything else is a rejection that names the place.
        if order.status == "cancelled":
            return out.drop()
        if not order.items:
            raise Reject("no-items", "the order has no lines", pointer="/items")
        if len(order.items) > self.settings.items_max:
            message = f"the order has {len(order.items)} lines, and at most {self.settings.items_max} are taken"
            raise Reject("too-many-items", message, pointer="/items")
        for at, item in enumerate(order.items):
            line = {
                "order": order.number,
                "line": at + 1,
                "customer": order.customer,
                "sku": item.sku,
                "quantity": item.quantity,
                "cents": total(item, at),  # What was written before for this record is forgotten.
                "currency": self.settings.currency,
            }
            out.json(line, {"order": order.number})


def total(item: Item, at: int) -> int:
    """What a line comes to, in cents."""
    if not 0 <= item.quantity < 2**32:
        raise Reject("unexpected-json", "a quantity is not negative, and below 2^32", pointer=f"/items/{at}/quantity")
    if item.quantity == 0:
        raise Reject("bad-quantity", "a line is of one piece at least", pointer=f"/items/{at}/quantity")
    amount = AMOUNT.fullmatch(item.price)
    price = f"/items/{at}/price"
    if amount is None:
        raise Reject("not-an-amount", "the price is not an amount such as 12.50", detail=item.price, pointer=price)
    if len(item.price) > 30:
        raise Reject("amount-too-large", "the price is longer than any amount", detail=item.price[:100], pointer=price)
    cents = (int(amount[1]) * 100 + int((amount[2] or "0").ljust(2, "0"))) * item.quantity
    if cents > CENTS_MAX:
        message = "the line comes to more cents than can be counted exactly"
        raise Reject("amount-too-large", message, detail=item.price, pointer=price)
    return cents
