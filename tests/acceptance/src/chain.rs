//! A copy of the shop example: a shop with orders, and stock, payment and shipping with books of their own.

use crate::erp::Erp;
use crate::{Lines, Project, purchases};
use anyhow::{Context, Result, ensure};
use crossdock_devkit::workspace_root;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Deref;

/// The route of the example.
const ROUTE: &str = "routes/shop.toml";
/// Where the example's route expects the shop and the three services, in the order of [`SERVICES`].
const EXAMPLE_PORTS: [u16; 4] = [7420, 7421, 7422, 7423];
/// The token that payment wants at first.
const TOKEN: &str = "token-of-the-first-day";

/// The services in the order in which an order reaches them.
pub const SERVICES: [&str; 3] = ["stock", "payment", "shipping"];

/// An order of the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Whose it is: the key by which orders stay in their order.
    pub customer: String,
}

/// The project, the shop and the services.
#[derive(Debug)]
pub struct Chain {
    project: Project,
    /// Where the orders come from, and where they are marked.
    pub shop: Erp,
    /// The first step.
    pub stock: Erp,
    /// The second one; it wants a token.
    pub payment: Erp,
    /// The last one.
    pub shipping: Erp,
    orders: Vec<Order>,
}

impl Deref for Chain {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

impl Chain {
    /// A project whose shop has so many orders.
    ///
    /// # Errors
    /// Something does not build or start.
    pub fn open(orders: usize) -> Result<Self> {
        let project = Project::new(ROUTE)?;
        let open = |name: &str, token| Erp::open(&project.path(&format!("services/{name}.db")), token);
        fs::create_dir_all(project.path("services"))?;
        let [shop, stock, payment, shipping] =
            [open("shop", None)?, open("stock", None)?, open("payment", Some(TOKEN))?, open("shipping", None)?];
        let example = workspace_root().join("examples/shop");
        for file in ["crossdock.toml", ROUTE] {
            let path = example.join(file);
            let mut text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            for (port, erp) in EXAMPLE_PORTS.iter().zip([&shop, &stock, &payment, &shipping]) {
                let written = format!("http://127.0.0.1:{port}");
                ensure!(file != ROUTE || text.contains(&written), "{ROUTE} does not name {written} any more");
                text = text.replace(&written, &erp.url());
            }
            project.write(file, text)?;
        }
        project.write("keys/payment", format!("{TOKEN}\n"))?;
        project.put_plugins(&["http-source", "http-destination"])?;
        project.take_compiled_plugins()?;
        let mut chain = Self { project, shop, stock, payment, shipping, orders: Vec::new() };
        chain.add_orders(orders)?;
        Ok(chain)
    }

    /// Gives the shop more orders, as real customers made them; of the first ones several come from the same customer.
    ///
    /// # Errors
    /// The shop does not take them, or there are not so many.
    pub fn add_orders(&mut self, count: usize) -> Result<()> {
        let from = self.orders.len();
        let all = purchases(&Lines::All.text()?)?;
        let all: Vec<_> = all.into_iter().filter(|purchase| !purchase.is_dropped()).skip(from).take(count).collect();
        ensure!(all.len() == count, "the data has no {count} further purchases");
        let mut loaded = Vec::with_capacity(count);
        for (at, purchase) in all.into_iter().enumerate() {
            let id = format!("S-{:05}", from + at + 1);
            loaded.push(json!({ "id": id, "customer": purchase.customer, "date": purchase.date,
                "quantity": purchase.quantity, "amount": purchase.amount }));
            self.orders.push(Order { id, customer: purchase.customer });
        }
        for part in loaded.chunks(1_000) {
            self.shop.ask("PUT", "/orders", &Value::from(part).to_string())?;
        }
        Ok(())
    }

    /// All orders, in the order of the shop.
    #[must_use]
    pub fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// The id of one of them.
    #[must_use]
    pub fn id(&self, at: usize) -> &str {
        &self.orders[at].id
    }

    /// The token that the command shows to payment from now on.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_token(&self, token: &str) -> Result<()> {
        // Replaced as a person's tools do it: a new file under the old name.
        self.write("keys/payment.new", format!("{token}\n"))?;
        fs::rename(self.path("keys/payment.new"), self.path("keys/payment")).context("replacing the token")
    }

    /// The service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> &Erp {
        match name {
            "stock" => &self.stock,
            "payment" => &self.payment,
            "shipping" => &self.shipping,
            _ => &self.shop,
        }
    }

    /// What the services and the shop say of themselves.
    ///
    /// # Errors
    /// One of them does not answer.
    pub fn ledgers(&self) -> Result<Ledgers> {
        let mut ledgers = Ledgers::default();
        for (place, name) in SERVICES.into_iter().enumerate() {
            let ledger = self.service(name).ask("GET", "/_ledger", "")?;
            for request in ledger["requests"].as_array().context("no requests")? {
                ledgers.take_request(name, request);
            }
            for document in ledger["documents"].as_array().context("no documents")? {
                let reference = document["reference"].as_str().context("a document without reference")?;
                if document["cancelled"].is_null() {
                    ledgers.documents.entry(reference.to_owned()).or_default()[place] += 1;
                }
            }
        }
        ledgers.requests.sort_by(|one, other| one.time.cmp(&other.time));
        let shop = self.shop.ask("GET", "/_ledger/orders", "")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for order in shop["orders"].as_array().context("no orders")? {
            ledgers.statuses.insert(text(&order["id"]), text(&order["status"]));
        }
        for mark in shop["marks"].as_array().context("no marks")? {
            let what = [text(&mark["status"]), text(&mark["reason"])].join(" ").trim().to_owned();
            ledgers.marks.entry(text(&mark["order"])).or_default().push(what);
        }
        ledgers.notices = shop["notices"].as_array().context("no notices")?.clone();
        Ok(ledgers)
    }
}

/// A request that a service got, other than questions.
#[derive(Debug, Clone)]
struct Request {
    time: String,
    order: String,
    /// The service, and what it did: `stock created`, `shipping 422`, `payment cancelled`.
    what: String,
}

/// What the services and the shop say happened: the oracle.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    requests: Vec<Request>,
    /// How many documents stand for an order in each of [`SERVICES`].
    documents: BTreeMap<String, [usize; 3]>,
    statuses: BTreeMap<String, String>,
    marks: BTreeMap<String, Vec<String>>,
    /// What runs told.
    pub notices: Vec<Value>,
}

impl Ledgers {
    fn take_request(&mut self, service: &str, request: &Value) {
        let text = |field: &str| request[field].as_str().unwrap_or_default();
        if text("method") == "GET" {
            return;
        }
        let applied = text("applied").split(' ').next().unwrap_or_default();
        let what = match applied {
            "" if request["status"] == 200 => "again".to_owned(),
            "" => request["status"].to_string(),
            applied => applied.to_owned(),
        };
        let what = format!("{service} {what}");
        self.requests.push(Request { time: text("time").to_owned(), order: text("reference").to_owned(), what });
    }

    /// What was done for an order, in the order of time: `stock created`, `payment created`, `shipping 422`,
    /// `payment cancelled`, `stock cancelled`. A number is a request that was refused; `again` one that was recognised
    /// by its key and did nothing.
    #[must_use]
    pub fn story(&self, order: &str) -> Vec<&str> {
        self.requests.iter().filter(|request| request.order == order).map(|request| request.what.as_str()).collect()
    }

    /// The same without what changed nothing.
    #[must_use]
    pub fn effects(&self, order: &str) -> Vec<&str> {
        let changes = |what: &&str| what.ends_with("created") || what.ends_with("cancelled");
        self.story(order).into_iter().filter(changes).collect()
    }

    /// When something was first done for an order, among all that was done: `("S-00007", "stock created")`.
    #[must_use]
    pub fn place_of(&self, order: &str, what: &str) -> Option<usize> {
        self.requests.iter().position(|request| request.order == order && request.what == what)
    }

    /// How many requests other than questions a service got, for any order.
    #[must_use]
    pub fn requests_at(&self, service: &str) -> usize {
        self.requests.iter().filter(|request| request.what.starts_with(service)).count()
    }

    /// How many documents stand for an order in stock, payment and shipping.
    #[must_use]
    pub fn documents(&self, order: &str) -> [usize; 3] {
        self.documents.get(order).copied().unwrap_or_default()
    }

    /// How the shop has marked an order: `processed`, `failed ship: Address unknown`, `reservation DOC-000007 released`.
    #[must_use]
    pub fn marks(&self, order: &str) -> &[String] {
        self.marks.get(order).map_or(&[], Vec::as_slice)
    }

    /// Where an order stands in the shop: new, processed or failed.
    #[must_use]
    pub fn status(&self, order: &str) -> &str {
        self.statuses.get(order).map_or("", String::as_str)
    }

    /// Holds that these orders stand once in all three services and are marked processed, that these others stand in
    /// none and are marked failed, and that there is nothing else.
    #[track_caller]
    pub fn hold<'a>(&self, whole: impl IntoIterator<Item = &'a str>, none: impl IntoIterator<Item = &'a str>) {
        let (whole, none): (BTreeSet<_>, BTreeSet<_>) = (whole.into_iter().collect(), none.into_iter().collect());
        let known = self.statuses.keys().chain(self.documents.keys()).map(String::as_str);
        for order in known.collect::<BTreeSet<_>>() {
            let found = (self.documents(order), self.status(order));
            let expected = match (whole.contains(order), none.contains(order)) {
                (true, _) => ([1, 1, 1], "processed"),
                (_, true) => ([0, 0, 0], "failed"),
                _ => ([0, 0, 0], "new"),
            };
            assert_eq!(found, expected, "{order}: {:?}, marked {:?}", self.story(order), self.marks(order));
        }
        assert!(whole.iter().chain(&none).all(|order| self.statuses.contains_key(*order)), "an order is not there");
    }
}
