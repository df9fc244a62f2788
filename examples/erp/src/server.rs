//! HTTP in front of the ERP: reads requests, sends answers, and keeps the doors `/_ledger` and `/_faults`, which are
//! never counted and never meet a fault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    connection::{CuttableListener, Scissors},
    erp,
    faults::{Faults, Rule},
    orders,
    reply::Call,
    store::Store,
};

const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;

/// How the stand-in behaves.
#[derive(Debug, Default)]
pub struct Options {
    /// The faults to begin with.
    pub faults: Faults,
    /// The bearer token that every request must carry, if there is one.
    pub token: Option<String>,
}

/// Serves until the process ends.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(listener: TcpListener, store: Store, options: Options) -> std::io::Result<()> {
    let Options { faults, token } = options;
    let shared = Arc::new(Shared { token, erp: Mutex::new(Erp { store, faults }) });
    let router = Router::new()
        .route("/_ledger", get(ledger))
        .route("/_ledger/summary", get(summary))
        .route("/_ledger/orders", get(show_orders))
        .route("/_faults", get(show_faults).put(put_faults).delete(lift_faults))
        .fallback(api)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Scissors>();
    axum::serve(CuttableListener(listener), service).await
}

struct Shared {
    token: Option<String>,
    erp: Mutex<Erp>,
}

struct Erp {
    store: Store,
    faults: Faults,
}

impl Shared {
    /// One request at a time: a transaction takes less than a tenth of a millisecond.
    fn erp(&self) -> MutexGuard<'_, Erp> {
        self.erp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authorizes(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_none_or(|token| {
            let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            given.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
        })
    }
}

async fn api(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call {
        method: method.as_str(),
        uri: &uri,
        key: headers.get("idempotency-key").and_then(|value| value.to_str().ok()),
        authorized: shared.authorizes(&headers),
        body: &body,
    };
    let answered = {
        let Erp { store, faults } = &mut *shared.erp();
        erp::answer(store, faults, &call)
    };
    let reply = match answered {
        Ok(reply) => reply,
        Err(error) => return broken(&error),
    };
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if reply.cut {
        scissors.cut();
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match reply.body {
        Some(body) => (status, Json(body)).into_response(),
        None => status.into_response(),
    };
    if let Some(seconds) = reply.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if reply.replayed {
        response.headers_mut().insert("idempotency-replayed", header::HeaderValue::from_static("true"));
    }
    response
}

#[derive(Deserialize)]
struct LedgerQuery {
    reference: Option<String>,
    #[serde(default)]
    after: i64,
}

async fn ledger(State(shared): State<Arc<Shared>>, Query(query): Query<LedgerQuery>) -> Response {
    let ledger = shared.erp().store.ledger(query.reference.as_deref(), query.after);
    ledger.map_or_else(|error| broken(&error), |ledger| Json(ledger).into_response())
}

async fn summary(State(shared): State<Arc<Shared>>) -> Response {
    let summary = shared.erp().store.summary();
    summary.map_or_else(|error| broken(&error), |summary| Json(summary).into_response())
}

async fn show_orders(State(shared): State<Arc<Shared>>) -> Response {
    let orders = orders::ledger(&mut shared.erp().store);
    orders.map_or_else(|error| broken(&error), |orders| Json(orders).into_response())
}

async fn show_faults(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.erp().faults.as_json()).into_response()
}

async fn put_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let rules: Result<Vec<Rule>, _> = serde_json::from_slice(&body);
    let faults = rules.map_err(|error| error.to_string()).and_then(|rules| {
        // Told in the same words as a file at start that is wrong.
        Faults::new(rules).map_err(|error| error.to_string())
    });
    match faults {
        Ok(faults) => {
            let shown = faults.as_json();
            shared.erp().faults = faults;
            Json(shown).into_response()
        }
        Err(message) => (StatusCode::BAD_REQUEST, Json(json!({ "error": { "message": message } }))).into_response(),
    }
}

async fn lift_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.erp().faults = Faults::default();
    StatusCode::NO_CONTENT
}

fn broken(error: &rusqlite::Error) -> Response {
    let message = format!("The stand-in's own database failed: {error}");
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": { "message": message } }))).into_response()
}
