//! What is to be sent, and the settings by which the plugin sends it.

use crossdock_bench::Orders;
use crossdock_model::{Batch, Column, RouteName, StepName, idempotency_key};
use std::sync::Arc;

/// The route's name.
pub(crate) const ROUTE: &str = "orders";
/// The name of the step that sends.
pub(crate) const STEP: &str = "book";

/// One order to send.
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
}

/// The first orders of a seed.
pub(crate) fn documents(route: &RouteName, step: &StepName, seed: u64, count: usize) -> Vec<Document> {
    let mut orders = Orders::new(seed);
    let one = |number: usize| {
        let id = format!("SO-{number:08}");
        let key = idempotency_key(route, step, 0, id.as_bytes());
        let key = String::from_utf8_lossy(&key).into_owned();
        Document { id, key, payload: orders.next_order().0.into_bytes() }
    };
    (1..=count).map(one).collect()
}

/// The same as batches with their keys.
pub(crate) fn batches(documents: &[Document], records: usize) -> Vec<(Arc<Batch>, Column)> {
    let batch = |documents: &[Document]| {
        let column = |of: fn(&Document) -> &[u8]| documents.iter().map(of).collect::<Column>();
        let keys = column(|document| document.key.as_bytes());
        let (ids, payloads) = (column(|document| document.id.as_bytes()), column(|document| &document.payload));
        (Arc::new(Batch { ids, payloads, attributes: Vec::new() }), keys)
    };
    documents.chunks(records).map(batch).collect()
}

/// The plugin's settings as a route has them, with so many requests at once.
pub(crate) fn settings(origin: &str, in_flight: usize) -> String {
    format!(
        r#"base = "{origin}"
path = "/documents"
idempotency_header = "idempotency-key"
target_id = "/id"
in_flight = {in_flight}
body = {{ reference = "{{{{ payload/order }}}}", customer = "{{{{ payload/customer/id }}}}", currency = "{{{{ payload/currency }}}}", amount = "{{{{ payload/total }}}}", items = "{{{{ payload/lines }}}}" }}
"#
    )
}
