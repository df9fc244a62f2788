"""The orders by DuckDB: python3 orders_duckdb.py IN OUT."""

import sys

import duckdb

WORK = """
COPY (
    SELECT "order" AS reference, customer.id AS customer, customer.name AS name, currency,
           CAST(total AS VARCHAR) AS amount, lines AS items
    FROM read_json(?, format = 'newline_delimited', columns = {
        'order': 'VARCHAR', 'customer': 'STRUCT(id VARCHAR, name VARCHAR)', 'currency': 'VARCHAR',
        'status': 'VARCHAR', 'lines': 'JSON', 'total': 'DECIMAL(18, 2)'})
    WHERE status <> 'cancelled'
) TO '{}' (FORMAT json)
"""

source, target = sys.argv[1:]
duckdb.execute(WORK.replace("{}", target), [source])
