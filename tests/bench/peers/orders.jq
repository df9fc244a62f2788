# The orders by jq: jq -c -f orders.jq IN > OUT
select(.status != "cancelled")
| (.total * 100 | round) as $cents
| {
    reference: .order,
    customer: .customer.id,
    name: .customer.name,
    currency,
    amount: "\($cents / 100 | floor).\($cents % 100 | if . < 10 then "0\(.)" else "\(.)" end)",
    items: .lines
  }
