"""The orders by bytewax: python3 -m bytewax.run orders_bytewax, with ORDERS_IN and ORDERS_OUT."""

import json
import os

import bytewax.operators as op
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow

from orders import document


def shape(line):
    order = json.loads(line)
    if order["status"] == "cancelled":
        return None
    # Files are written by key; there is one file.
    return ("", json.dumps(document(order), ensure_ascii=False))


flow = Dataflow("orders")
lines = op.input("lines", flow, FileSource(os.environ["ORDERS_IN"], batch_size=1000))
documents = op.filter_map("shape", lines, shape)
op.output("documents", documents, FileSink(os.environ["ORDERS_OUT"]))
