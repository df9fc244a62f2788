"""The orders by a plain script: python3 orders.py IN OUT."""

import json
import sys


def document(order):
    return {
        "reference": order["order"],
        "customer": order["customer"]["id"],
        "name": order["customer"]["name"],
        "currency": order["currency"],
        "amount": f"{order['total']:.2f}",
        "items": order["lines"],
    }


def main(source, target):
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            order = json.loads(line)
            if order["status"] != "cancelled":
                out.write(json.dumps(document(order), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
