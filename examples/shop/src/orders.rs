//! The shop's orders: real purchases of the CDNOW example, as a shop would list them.

use anyhow::{Context, Result, ensure};
use crossdock_devkit::workspace_root;
use serde_json::{Value, json};

/// The first purchases that are worth something.
pub(crate) fn first(count: usize) -> Result<Value> {
    let path = workspace_root().join("examples/cdnow/data/CDNOW_sample.txt");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut orders = Vec::with_capacity(count);
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [customer, _, date, quantity, amount] = fields[..] else { continue };
        ensure!(date.len() == 8, "{date:?} is no date in {}", path.display());
        if amount.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
            continue;
        }
        orders.push(json!({
            "id": format!("S-{:04}", orders.len() + 1),
            "customer": customer,
            "date": format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]),
            "quantity": quantity.parse::<u64>().with_context(|| format!("the quantity of {line:?}"))?,
            "amount": amount,
        }));
        if orders.len() == count {
            break;
        }
    }
    Ok(orders.into())
}
