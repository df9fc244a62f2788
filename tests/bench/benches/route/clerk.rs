//! Purchases booked by hand: the native program beside the route of examples/cdnow.

use crate::native::{BATCH_RECORDS, Batch, Job};
use crate::shop::{Shop, Tally};
use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// In the project's folder: where the ERP listens.
pub(crate) const ADDRESS_FILE: &str = "erp.txt";
/// Requests that are under way at once: as many as the route lets.
const IN_FLIGHT: usize = 4;

/// A line of the file.
#[derive(Debug)]
pub(crate) struct Purchase<'a> {
    customer: &'a str,
    date: &'a str,
    quantity: u32,
    pub(crate) amount: Decimal,
}

impl<'a> Purchase<'a> {
    /// Columns, from the left: the customer; perhaps another number; the date, how many, dollars.
    pub(crate) fn read(line: &'a str) -> Result<Self> {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let ([customer, date, quantity, dollars] | [customer, _, date, quantity, dollars]) = columns.as_slice() else {
            bail!("{line:?} has not four or five columns");
        };
        let mut amount = Decimal::from_str_exact(dollars)?;
        amount.rescale(2);
        Ok(Self { customer, date, quantity: quantity.parse()?, amount })
    }
}

/// What the ERP is sent.
#[derive(Serialize)]
struct Document<'a> {
    reference: &'a str,
    customer: &'a str,
    date: String,
    quantity: u32,
    amount: String,
}

#[derive(Deserialize)]
struct Booked {
    id: String,
}

/// A request that is to be sent.
struct Waiting {
    /// Which record of the batch it is for.
    at: usize,
    key: [u8; 32],
    body: Vec<u8>,
}

/// Books the purchases of a project's file.
pub(crate) async fn run(shop: &Shop, file: &str, ledger: bool) -> Result<Tally> {
    let data = shop.data();
    let mut job = Job::new(ledger.then_some(data.as_path()), "cdnow", ["shape", "book"])?;
    let address = std::fs::read_to_string(shop.folder().join(ADDRESS_FILE))?;
    let mut connections = Vec::new();
    for _ in 0..IN_FLIGHT {
        connections.push(connect(&address).await?);
    }
    let mut lines = BufReader::new(File::open(shop.folder().join("in").join(file))?).lines();
    let mut seen: HashMap<String, u32> = HashMap::new();
    job.begin().await?;
    for number in 1.. {
        let mut batch = Batch::new(number, number);
        let mut waiting = Vec::new();
        for line in lines.by_ref().take(BATCH_RECORDS) {
            let line = line?;
            let purchase = Purchase::read(&line)?;
            // A customer can buy twice on one day.
            let mut id = format!("{}/{}", purchase.customer, purchase.date);
            let times = seen.entry(id.clone()).and_modify(|times| *times += 1).or_insert(1);
            if *times > 1 {
                id = format!("{id}#{times}");
            }
            if purchase.amount.is_zero() {
                batch.dropped(&id)?;
            } else {
                waiting.push(Waiting { at: batch.statuses.len(), key: job.key(&id), body: body(&id, &purchase)? });
                batch.taken(&id)?;
            }
        }
        if batch.read == 0 {
            break;
        }
        job.intend(&batch).await?;
        let booked = send(&mut connections, waiting, &address).await?;
        put_ids(&mut batch, booked)?;
        job.commit(batch).await?;
    }
    job.end().await
}

fn body(id: &str, purchase: &Purchase<'_>) -> Result<Vec<u8>> {
    let date = purchase.date;
    let parts = date.get(..4).zip(date.get(4..6)).zip(date.get(6..)).context("a date has eight digits")?;
    let ((year, month), day) = parts;
    Ok(serde_json::to_vec(&Document {
        reference: id,
        customer: purchase.customer,
        date: format!("{year}-{month}-{day}"),
        quantity: purchase.quantity,
        amount: purchase.amount.to_string(),
    })?)
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(send)
}

/// Sends requests over the connections, and answers with the id of each record's document.
async fn send(
    connections: &mut Vec<SendRequest<Full<Bytes>>>,
    waiting: Vec<Waiting>,
    address: &str,
) -> Result<Vec<(usize, String)>> {
    let mut answers = Vec::with_capacity(waiting.len());
    let mut under_way = JoinSet::new();
    let mut waiting = waiting.into_iter();
    loop {
        while let Some(connection) = connections.pop() {
            let Some(next) = waiting.next() else {
                connections.push(connection);
                break;
            };
            under_way.spawn(book(connection, next, address.to_owned()));
        }
        let Some(done) = under_way.join_next().await else { return Ok(answers) };
        let (connection, at, id) = done??;
        connections.push(connection);
        answers.push((at, id));
    }
}

async fn book(
    mut connection: SendRequest<Full<Bytes>>,
    waiting: Waiting,
    address: String,
) -> Result<(SendRequest<Full<Bytes>>, usize, String)> {
    let request = Request::post("/documents")
        .header("host", address)
        .header("content-type", "application/json")
        .header("idempotency-key", waiting.key.as_slice())
        .body(Full::from(waiting.body))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status == 201, "the ERP answered {status}: {}", String::from_utf8_lossy(&body));
    let booked: Booked = serde_json::from_slice(&body).context("reading what the ERP answers")?;
    Ok((connection, waiting.at, booked.id))
}

/// Puts the documents' ids beside the records that they were made for.
fn put_ids(batch: &mut Batch, mut booked: Vec<(usize, String)>) -> Result<()> {
    booked.sort_unstable_by_key(|(at, _)| *at);
    let mut booked = booked.into_iter().peekable();
    let (mut target_ids, mut receipts) = (crossdock_model::Column::default(), crossdock_model::Column::default());
    for at in 0..batch.statuses.len() {
        let id = booked.next_if(|(of, _)| *of == at).map(|(_, id)| id).unwrap_or_default();
        target_ids.try_push(id.as_bytes())?;
        receipts.try_push(b"")?;
    }
    (batch.target_ids, batch.receipts) = (target_ids, receipts);
    Ok(())
}
