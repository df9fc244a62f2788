//! The limit: the same requests by the same client library, written by hand as one native program on one thread.
//!
//! As many connections as requests at once, each kept alive and with its next request as soon as it has its answer: no
//! batches, no checks, no ledger.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::work::Document;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    order: Cow<'a, str>,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    currency: &'a RawValue,
    #[serde(borrow)]
    lines: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
}

#[derive(Deserialize)]
struct Customer<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

#[derive(Serialize)]
struct Body<'a> {
    reference: &'a str,
    customer: &'a RawValue,
    currency: &'a RawValue,
    amount: &'a RawValue,
    items: &'a RawValue,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Connections that are open.
pub(crate) struct Native {
    runtime: tokio::runtime::Runtime,
    tasks: LocalSet,
    host: Rc<str>,
    idle: Rc<Cell<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Native {
    /// A client of the server at this address, with so many connections.
    pub(crate) fn new(address: &str, connections: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let idle = tasks.block_on(&runtime, async {
            let mut idle = Vec::new();
            for _ in 0..connections {
                let stream = TcpStream::connect(address).await.context("connecting")?;
                stream.set_nodelay(true)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::task::spawn_local(connection);
                idle.push(sender);
            }
            anyhow::Ok(idle)
        })?;
        Ok(Self { runtime, tasks, host: address.into(), idle: Rc::new(Cell::new(idle)) })
    }

    /// Sends one request a document, and answers with the ids that the server gave, in the order of the answers.
    pub(crate) fn send(&self, documents: &Rc<Vec<Document>>) -> Result<Vec<String>> {
        self.tasks.block_on(&self.runtime, async {
            let next = Rc::new(Cell::new(0));
            let mut lanes = Vec::new();
            for sender in self.idle.take() {
                let (documents, next, host) = (documents.clone(), next.clone(), self.host.clone());
                lanes.push(tokio::task::spawn_local(lane(sender, documents, next, host)));
            }
            let (mut ids, mut idle) = (Vec::new(), Vec::new());
            for lane in lanes {
                let (sender, given) = lane.await??;
                idle.push(sender);
                ids.extend(given);
            }
            self.idle.set(idle);
            Ok(ids)
        })
    }
}

/// One connection's requests, one after the other.
async fn lane(
    mut sender: SendRequest<Full<Bytes>>,
    documents: Rc<Vec<Document>>,
    next: Rc<Cell<usize>>,
    host: Rc<str>,
) -> Result<(SendRequest<Full<Bytes>>, Vec<String>)> {
    let mut ids = Vec::new();
    while let Some(document) = documents.get(next.replace(next.get() + 1)) {
        sender.ready().await?;
        let response = sender.send_request(request(document, &host)?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::CREATED, "the server answered {status}");
        ids.push(serde_json::from_slice::<Answer<'_>>(&body)?.id.into_owned());
    }
    Ok((sender, ids))
}

fn request(document: &Document, host: &str) -> Result<Request<Full<Bytes>>> {
    let order: Order<'_> = serde_json::from_slice(&document.payload).context("reading an order")?;
    let body = Body {
        reference: order.order.as_ref(),
        customer: order.customer.id,
        currency: order.currency,
        amount: order.total,
        items: order.lines,
    };
    let request = Request::post("/documents")
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", document.key.as_str())
        .header(HOST, host)
        .header(USER_AGENT, "native")
        .header(ACCEPT_ENCODING, "gzip");
    Ok(request.body(Full::new(Bytes::from(serde_json::to_vec(&body)?)))?)
}
