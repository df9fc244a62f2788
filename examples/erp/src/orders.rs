//! The orders of a shop: loaded, listed by what became of them, marked. And notices, for people to read.
//!
//! A mark says what became of an order, or only that something happened to it. With an idempotency key it is made once,
//! however often it is sent.

use rusqlite::{OptionalExtension, Row, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    reply::{Call, Reply, body, error, query},
    store::{Change, NOW, Store},
};

/// What may become of an order.
const STATUSES: [&str; 3] = ["new", "processed", "failed"];
const LIST_MAX: u32 = 1_000;
const ID_MAX_CHARS: usize = 64;

/// What a request asks of the orders.
pub(crate) enum Orders {
    Load(Vec<(String, Value)>),
    List { status: Option<String>, after: i64, limit: u32 },
    Show(String),
    Mark(String, Mark),
    Notice(Map<String, Value>),
    Notices,
}

/// What became of an order, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    /// Without it the order stays as it is: the mark is a remark.
    status: Option<String>,
    reason: Option<String>,
}

type Problem = (u16, String);

impl Orders {
    pub(crate) fn of(method: &str, path: &[&str], call: &Call<'_>) -> Result<Self, Problem> {
        match (method, path) {
            ("PUT", ["orders"]) => load(read(call.body)?),
            ("GET", ["orders"]) => list(call),
            ("GET", ["orders", id]) => Ok(Self::Show((*id).to_owned())),
            ("POST", ["orders", id, "mark"]) => {
                let mark: Mark = read(call.body)?;
                if let Some(status) = mark.status.as_deref().filter(|status| !STATUSES.contains(status)) {
                    return Err((422, format!("An order is {}, not {status:?}", STATUSES.join(", "))));
                }
                if mark.status.is_none() && mark.reason.is_none() {
                    return Err((422, "A mark has a status or a reason".to_owned()));
                }
                Ok(Self::Mark((*id).to_owned(), mark))
            }
            ("POST", ["notices"]) => Ok(Self::Notice(read(call.body)?)),
            ("GET", ["notices"]) => Ok(Self::Notices),
            _ => Err((405, "No such method here".to_owned())),
        }
    }

    /// The one order that is asked for.
    pub(crate) fn order(&self) -> Option<&str> {
        match self {
            Self::Show(id) | Self::Mark(id, _) => Some(id),
            _ => None,
        }
    }

    pub(crate) fn apply(&self, change: &Change<'_>, key: Option<&str>) -> rusqlite::Result<Reply> {
        match self {
            Self::Load(orders) => change.load(orders),
            Self::List { status, after, limit } => change.list(status.as_deref(), *after, *limit),
            Self::Show(id) => change.show(id),
            Self::Mark(id, mark) => change.mark(id, mark, key),
            Self::Notice(notice) => change.notice(notice, key),
            Self::Notices => change.notices().map(|notices| body(200, notices)),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| (400, format!("The body cannot be read: {error}")))
}

fn load(orders: Vec<Map<String, Value>>) -> Result<Orders, Problem> {
    let with_id = |order: Map<String, Value>| {
        let id = order.get("id").and_then(Value::as_str).unwrap_or_default();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || id.len() > ID_MAX_CHARS || !id.chars().all(allowed) {
            return Err((422, format!("An order's id has 1 to {ID_MAX_CHARS} of a-z, A-Z, 0-9, - _ . and not {id:?}")));
        }
        Ok((id.to_owned(), Value::Object(order)))
    };
    orders.into_iter().map(with_id).collect::<Result<_, _>>().map(Orders::Load)
}

fn list(call: &Call<'_>) -> Result<Orders, Problem> {
    fn number<T: std::str::FromStr>(call: &Call<'_>, name: &str, default: T) -> Result<T, Problem> {
        query(call.uri, name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| (400, format!("?{name}= must be a whole number, and not {text:?}")))
        })
    }
    let limit = number(call, "limit", 100_u32)?.clamp(1, LIST_MAX);
    Ok(Orders::List { status: query(call.uri, "status"), after: number(call, "after", 0)?, limit })
}

impl Change<'_> {
    /// Orders that are known stay as they are.
    fn load(&self, orders: &[(String, Value)]) -> rusqlite::Result<Reply> {
        let mut insert = self.0.prepare_cached(
            "INSERT INTO orders (id, status, body) VALUES (?1, 'new', ?2) ON CONFLICT (id) DO NOTHING",
        )?;
        let mut added = 0;
        for (id, order) in orders {
            added += insert.execute(params![id, order.to_string()])?;
        }
        let applied = (added > 0).then(|| format!("added {added} orders"));
        Ok(Reply { applied, ..body(200, json!({ "added": added, "known": orders.len() - added })) })
    }

    /// In the order they came in; `next` is where to go on, null at the end.
    fn list(&self, status: Option<&str>, after: i64, limit: u32) -> rusqlite::Result<Reply> {
        let mut select = self.0.prepare_cached(
            "SELECT number, id, status, reason, body FROM orders
             WHERE number > ?1 AND (?2 IS NULL OR status = ?2) ORDER BY number LIMIT ?3",
        )?;
        let orders: Vec<Value> =
            select.query_map(params![after, status, limit], order_json)?.collect::<Result<_, _>>()?;
        let full = orders.len() == limit as usize;
        let next = orders.last().filter(|_| full).map(|order| order["number"].clone());
        Ok(body(200, json!({ "orders": orders, "next": next })))
    }

    fn show(&self, id: &str) -> rusqlite::Result<Reply> {
        let mut select = self.0.prepare_cached("SELECT number, id, status, reason, body FROM orders WHERE id = ?1")?;
        let Some(mut order) = select.query_row([id], order_json).optional()? else {
            return Ok(error(404, "NOT_FOUND", "", "No such order"));
        };
        let mut select = self
            .0
            .prepare_cached("SELECT order_id, status, reason, time FROM marks WHERE order_id = ?1 ORDER BY number")?;
        order["marks"] = select.query_map([id], mark_json)?.collect::<Result<Vec<Value>, _>>()?.into();
        Ok(body(200, order))
    }

    fn mark(&self, id: &str, mark: &Mark, key: Option<&str>) -> rusqlite::Result<Reply> {
        if self.0.prepare_cached("SELECT 1 FROM orders WHERE id = ?1")?.exists([id])? {
            let made = self
                .0
                .prepare_cached(&format!(
                    "INSERT INTO marks (order_id, key, status, reason, time) VALUES (?1, ?2, ?3, ?4, {NOW})
                     ON CONFLICT (key) DO NOTHING"
                ))?
                .execute(params![id, key, mark.status, mark.reason])?;
            if made == 0 {
                return Ok(Reply { replayed: true, ..body(200, json!({ "id": id })) });
            }
            if let Some(status) = &mark.status {
                self.0.prepare_cached("UPDATE orders SET status = ?2, reason = ?3 WHERE id = ?1")?.execute(params![
                    id,
                    status,
                    mark.reason
                ])?;
            }
            let applied = format!("marked {id} {}", mark.status.as_deref().unwrap_or("with a remark"));
            return Ok(Reply { applied: Some(applied), ..body(200, json!({ "id": id })) });
        }
        Ok(error(404, "NOT_FOUND", "", "No such order"))
    }

    fn notice(&self, notice: &Map<String, Value>, key: Option<&str>) -> rusqlite::Result<Reply> {
        let text = Value::Object(notice.clone()).to_string();
        let made = self
            .0
            .prepare_cached(&format!(
                "INSERT INTO notices (key, body, time) VALUES (?1, ?2, {NOW}) ON CONFLICT (key) DO NOTHING"
            ))?
            .execute(params![key, text])?;
        let applied = (made > 0).then(|| "took a notice".to_owned());
        Ok(Reply { applied, replayed: made == 0, ..body(if made > 0 { 201 } else { 200 }, json!({})) })
    }

    fn notices(&self) -> rusqlite::Result<Value> {
        let mut select = self.0.prepare_cached("SELECT body, time FROM notices ORDER BY number")?;
        let notice = |row: &Row<'_>| Ok(json!({ "time": row.get::<_, String>(1)?, "notice": json_in(row, 0)? }));
        select.query_map([], notice)?.collect::<Result<Vec<Value>, _>>().map(Value::from)
    }
}

/// All orders, all marks in the order they were made, and all notices: what the shop says happened.
pub(crate) fn ledger(store: &mut Store) -> rusqlite::Result<Value> {
    let change = store.begin()?;
    let mut orders = change.0.prepare_cached("SELECT number, id, status, reason, body FROM orders ORDER BY number")?;
    let orders: Vec<Value> = orders.query_map([], order_json)?.collect::<Result<_, _>>()?;
    let mut marks = change.0.prepare_cached("SELECT order_id, status, reason, time FROM marks ORDER BY number")?;
    let marks: Vec<Value> = marks.query_map([], mark_json)?.collect::<Result<_, _>>()?;
    let notices = change.notices()?;
    Ok(json!({ "orders": orders, "marks": marks, "notices": notices }))
}

/// The order as it came in, with what the shop knows beside it.
fn order_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    let mut order = json_in(row, 4)?;
    order["number"] = row.get::<_, i64>(0)?.into();
    order["id"] = row.get::<_, String>(1)?.into();
    order["status"] = row.get::<_, String>(2)?.into();
    order["reason"] = row.get::<_, Option<String>>(3)?.into();
    Ok(order)
}

fn mark_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    Ok(json!({
        "order": row.get::<_, String>(0)?,
        "status": row.get::<_, Option<String>>(1)?,
        "reason": row.get::<_, Option<String>>(2)?,
        "time": row.get::<_, String>(3)?,
    }))
}

fn json_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| json!({})))
}
