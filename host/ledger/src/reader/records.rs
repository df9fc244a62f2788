//! The list of records, over rows, chunks and what is under way.

use super::PAGE_MAX;
use super::summary::{
    CHUNK_COLUMNS, ChunkMeta, Names, UnderWay, chunk_summary, flight_summary, read_chunk, route_key, row_summary,
};
use super::types::{Cursor, Page, Place, RecordFilter, RecordSummary, other_list};
use crate::chunk;
use crate::error::LedgerError;
use crate::record::{self, StoredRecord};
use crate::run;
use crossdock_model::Status;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// A question with its names looked up.
struct Question<'a> {
    conn: &'a Connection,
    filter: &'a RecordFilter,
    route: Option<i64>,
    run: Option<i64>,
    /// One more than asked for, to see whether there are more.
    want: usize,
    /// Whether a process is writing.
    alive: bool,
    under_way: UnderWay,
    names: Names,
    found: Vec<(Place, RecordSummary)>,
}

/// One page of records.
pub(super) fn list(
    conn: &Connection,
    filter: &RecordFilter,
    limit: u32,
    after: Option<&Cursor>,
    alive: bool,
) -> Result<Page<RecordSummary>, LedgerError> {
    let limit = limit.clamp(1, PAGE_MAX) as usize;
    let nothing = Page { items: Vec::new(), next: None };
    let route = match &filter.route {
        None => None,
        Some(name) => match route_key(conn, name)? {
            None => return Ok(nothing),
            found => found,
        },
    };
    let run = match &filter.run {
        None => None,
        Some(id) => match run::find(conn, &id.0)? {
            None => return Ok(nothing),
            Some(run) => Some(run.key),
        },
    };
    let mut question = Question {
        conn,
        filter,
        route,
        run,
        want: limit + 1,
        alive,
        under_way: UnderWay::load(conn)?,
        names: Names::default(),
        found: Vec::new(),
    };
    let after = after.map(|cursor| cursor.0);
    if let Some(text) = &filter.text {
        let from = match after {
            None => i64::MAX,
            Some(Place::Text(key)) => key,
            Some(other) => return Err(other_list(&Cursor(other))),
        };
        question.by_text(text, from)?;
        return Ok(Page::of(question.found, limit));
    }
    match after {
        Some(Place::Row(..) | Place::Chunk(..) | Place::InFlight(..)) | None => {}
        Some(other) => return Err(other_list(&Cursor(other))),
    }
    if matches!(after, None | Some(Place::Row(..))) {
        question.rows(after)?;
    }
    if !matches!(after, Some(Place::InFlight(..))) {
        question.chunks(after)?;
    }
    question.in_flight(after)?;
    Ok(Page::of(question.found, limit))
}

/// The statement for records with a row, and its values. Every combination walks one index backwards.
fn rows_sql(filter: &RecordFilter, route: Option<i64>, run: Option<i64>) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut add = |column: &str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(format!("{column} ?"));
            values.push(value);
        }
    };
    let text = |text: &str| Value::from(text.to_owned());
    add("r.route =", route.map(Value::from));
    add("r.run =", run.map(Value::from));
    add("r.status =", filter.status.map(|status| text(status.as_str())));
    add("r.code =", filter.code.as_deref().map(text));
    add("r.step =", filter.step.as_ref().map(|step| text(step.as_str())));
    add("r.id =", filter.id.as_ref().map(|id| text(&id.0)));
    add("r.at >=", filter.since.map(|since| since.0.into()));
    let index = match filter {
        RecordFilter { id: Some(_), .. } => "record_by_id",
        RecordFilter { run: Some(_), .. } => "record_by_run",
        RecordFilter { code: Some(_), .. } => "record_by_code",
        RecordFilter { status: Some(_), route: Some(_), .. } => "record_by_route_status",
        RecordFilter { step: Some(_), .. } => "record_by_step",
        RecordFilter { status: Some(_), .. } => "record_by_status",
        RecordFilter { route: Some(_), .. } => "record_by_route",
        _ => "record_by_at",
    };
    conditions.push("(r.at, r.key) < (?, ?)".to_owned());
    let sql = format!(
        "SELECT {} FROM record r INDEXED BY {index} WHERE {} ORDER BY r.at DESC, r.key DESC LIMIT ?",
        record::COLUMNS,
        conditions.join(" AND ")
    );
    (sql, values)
}

/// The statement for chunks, without the limit: chunks are read one by one until the page is full.
fn chunks_sql(filter: &RecordFilter, route: Option<i64>, run: Option<i64>) -> (String, Vec<Value>) {
    let mut conditions = String::new();
    let mut values: Vec<Value> = Vec::new();
    for (column, value) in [("c.route =", route), ("c.run =", run), ("c.at >=", filter.since.map(|since| since.0))] {
        if let Some(value) = value {
            conditions.push_str(&format!("{column} ? AND "));
            values.push(value.into());
        }
    }
    match filter.status {
        Some(Status::Ok) => conditions.push_str("c.ok > 0 AND "),
        Some(Status::Dropped) => conditions.push_str("c.dropped > 0 AND "),
        _ => {}
    }
    let index = match (run, route) {
        (Some(_), _) => "INDEXED BY chunk_by_run",
        (None, Some(_)) => "INDEXED BY chunk_by_route",
        (None, None) => "INDEXED BY chunk_by_at",
    };
    let sql = format!(
        "SELECT {CHUNK_COLUMNS} FROM chunk c {index} WHERE {conditions}(c.at, c.key) <= (?, ?)
         ORDER BY c.at DESC, c.key DESC"
    );
    (sql, values)
}

fn text_sql() -> String {
    format!(
        "SELECT {} FROM failure_text t CROSS JOIN record r ON r.key = t.rowid
         WHERE t.failure_text MATCH ?1 AND t.rowid < ?2 ORDER BY t.rowid DESC",
        record::COLUMNS
    )
}

/// The words of a text as a question to the full-text index: each quoted, so that nothing in them is an operator.
fn match_words(text: &str) -> Result<String, LedgerError> {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c == '"')
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"*", word.replace('\0', "")))
        .collect();
    if words.is_empty() {
        return Err(LedgerError::BadQuery { why: format!("the text {text:?} has no letters or digits to look for") });
    }
    Ok(words.join(" "))
}

impl Question<'_> {
    fn full(&self) -> bool {
        self.found.len() >= self.want
    }

    fn by_text(&mut self, text: &str, from: i64) -> Result<(), LedgerError> {
        let mut statement = self.conn.prepare_cached(&text_sql())?;
        let mut rows = statement.query((match_words(text)?, from))?;
        while !self.full() {
            let Some(row) = rows.next()? else { break };
            let stored = StoredRecord::read(row)?;
            let place = Place::Text(stored.key);
            if self.admits(&stored) {
                self.push_row(place, stored)?;
            }
        }
        Ok(())
    }

    /// Whether a row that was not chosen by all conditions meets them.
    fn admits(&self, stored: &StoredRecord) -> bool {
        let filter = self.filter;
        self.route.is_none_or(|route| stored.route == route)
            && self.run.is_none_or(|run| stored.run == run)
            && filter.status.is_none_or(|status| stored.status == status)
            && filter.step.as_ref().is_none_or(|step| stored.step == *step)
            && filter.id.as_ref().is_none_or(|id| stored.id == id.0)
            && filter.since.is_none_or(|since| stored.at >= since.0)
            && filter
                .code
                .as_ref()
                .is_none_or(|code| stored.failure.as_ref().is_some_and(|failure| failure.code == *code))
    }

    fn rows(&mut self, after: Option<Place>) -> Result<(), LedgerError> {
        let (at, key) = if let Some(Place::Row(at, key)) = after { (at, key) } else { (i64::MAX, i64::MAX) };
        let (sql, mut values) = rows_sql(self.filter, self.route, self.run);
        let limit = i64::try_from(self.want).unwrap_or(i64::MAX);
        // Rows that are under way count as processing and are left out of another status.
        let spare = i64::try_from(self.under_way.len()).unwrap_or(0);
        values.extend([at.into(), key.into(), Value::from(limit + spare)]);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while !self.full() {
            let Some(row) = rows.next()? else { break };
            let stored = StoredRecord::read(row)?;
            self.push_row(Place::Row(stored.at, stored.key), stored)?;
        }
        Ok(())
    }

    fn push_row(&mut self, place: Place, stored: StoredRecord) -> Result<(), LedgerError> {
        let under_way = self.alive && self.under_way.step_of(stored.route, &stored.id).is_some();
        let mut summary = row_summary(self.conn, &mut self.names, &stored)?;
        if under_way {
            if self.filter.status.is_some_and(|status| status != Status::Processing) {
                return Ok(());
            }
            summary.status = Status::Processing;
        }
        self.found.push((place, summary));
        Ok(())
    }

    fn chunks(&mut self, after: Option<Place>) -> Result<(), LedgerError> {
        let wanted = matches!(self.filter.status, None | Some(Status::Ok | Status::Dropped));
        if !wanted || self.filter.code.is_some() {
            return Ok(());
        }
        let (at, key, index) = match after {
            Some(Place::Chunk(at, key, index)) => (at, key, index),
            _ => (i64::MAX, i64::MAX, -1),
        };
        let (sql, mut values) = chunks_sql(self.filter, self.route, self.run);
        values.extend([at.into(), key.into()]);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while !self.full() {
            let Some(row) = rows.next()? else { break };
            let meta = ChunkMeta::read(row)?;
            if self.filter.id.as_ref().is_some_and(|id| !chunk::may_hold(&meta.filter, id.0.as_bytes())) {
                continue;
            }
            let begin = if meta.key == key { usize::try_from(index + 1).unwrap_or(0) } else { 0 };
            self.one_chunk(&meta, begin)?;
        }
        Ok(())
    }

    fn one_chunk(&mut self, meta: &ChunkMeta, begin: usize) -> Result<(), LedgerError> {
        let chunk = read_chunk(self.conn, meta.key)?;
        for index in begin..chunk.ids.len() {
            if self.full() {
                break;
            }
            let id = chunk.ids.text(index);
            let filter = self.filter;
            let unfit = filter.status.is_some_and(|status| status != chunk.statuses[index])
                || filter.id.as_ref().is_some_and(|wanted| wanted.0 != id);
            if unfit || has_row(self.conn, meta.route, &id)? {
                continue;
            }
            let summary = chunk_summary(self.conn, &mut self.names, meta, &chunk, index)?;
            if filter.step.is_some() && filter.step != summary.step {
                continue;
            }
            let place = Place::Chunk(meta.at, meta.key, i64::try_from(index).unwrap_or(i64::MAX));
            self.found.push((place, summary));
        }
        Ok(())
    }

    /// Records that a destination was asked to apply and that have no row yet; and if records that are processing are
    /// asked for, also those whose row says otherwise.
    fn in_flight(&mut self, after: Option<Place>) -> Result<(), LedgerError> {
        let status = if self.alive { Status::Processing } else { Status::Indeterminate };
        let filter = self.filter;
        if filter.status.is_some_and(|wanted| wanted != status) || filter.code.is_some() {
            return Ok(());
        }
        let from = if let Some(Place::InFlight(key, index)) = after { (key, index) } else { (-1, -1) };
        let rows = std::mem::take(&mut self.under_way.rows);
        for (position, row) in rows.iter().enumerate() {
            let unfit = self.route.is_some_and(|route| row.route != route)
                || self.run.is_some_and(|run| row.run != run)
                || filter.step.as_ref().is_some_and(|step| row.step != *step)
                || filter.since.is_some_and(|since| row.at < since.0);
            if unfit {
                continue;
            }
            for index in 0..row.ids.len() {
                if self.full() {
                    return Ok(());
                }
                let id = row.ids.text(index).into_owned();
                let place = (row.key, i64::try_from(index).unwrap_or(i64::MAX));
                let last = self.under_way.last.get(&(row.route, id.clone())) == Some(&position);
                if place <= from || !last || filter.id.as_ref().is_some_and(|wanted| wanted.0 != id) {
                    continue;
                }
                let stored = record::find(self.conn, row.route, &id)?;
                let shown = stored.as_ref().is_some_and(|stored| {
                    filter.status.is_none() || stored.status == Status::Processing || !self.alive
                });
                if shown {
                    continue;
                }
                let summary = flight_summary(self.conn, &mut self.names, row, index, status)?;
                self.found.push((Place::InFlight(place.0, place.1), summary));
            }
        }
        Ok(())
    }
}

fn has_row(conn: &Connection, route: i64, id: &str) -> Result<bool, LedgerError> {
    Ok(conn.prepare_cached("SELECT 1 FROM record WHERE id = ?1 AND route = ?2")?.exists((id, route))?)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::schema;
    use crossdock_model::{RouteName, RunId, StepName, Timestamp};

    pub(in crate::reader) fn empty_ledger() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = schema::open_to_write(dir.path(), None).unwrap();
        (dir, conn)
    }

    /// The database's own account of how it will answer: no walk through a table, no sorting.
    pub(in crate::reader) fn check_plan(conn: &Connection, sql: &str, values: Vec<Value>) {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps: Vec<String> =
            statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            let walks = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE INDEX");
            assert!(!walks && !step.contains("TEMP B-TREE"), "{step}\n{sql}");
        }
    }

    #[test]
    fn a_walk_through_a_table_would_be_seen() {
        let walk = std::panic::catch_unwind(|| {
            let (_dir, conn) = empty_ledger();
            check_plan(&conn, "SELECT * FROM record WHERE batch = 1", vec![]);
        });
        assert!(walk.is_err());
    }

    #[test]
    fn every_question_about_records_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        for bits in 0..64u8 {
            let on = |bit: u8| bits & (1 << bit) != 0;
            let filter = RecordFilter {
                route: on(0).then(|| RouteName::new("r").unwrap()),
                run: on(1).then(|| RunId("u".into())),
                status: on(2).then_some(Status::Ok),
                code: on(3).then(|| "c".into()),
                since: on(4).then_some(Timestamp(5)),
                step: on(5).then(|| StepName::new("s").unwrap()),
                ..RecordFilter::default()
            };
            let (route, run) = (on(0).then_some(1), on(1).then_some(1));
            let (sql, mut values) = rows_sql(&filter, route, run);
            values.extend([1.into(), 1.into(), Value::from(10)]);
            check_plan(&conn, &sql, values);
            let (sql, mut values) = chunks_sql(&filter, route, run);
            values.extend([1.into(), Value::from(1)]);
            check_plan(&conn, &sql, values);
        }
        check_plan(&conn, &text_sql(), vec!["x".to_owned().into(), Value::from(1)]);
    }

    #[test]
    fn text_is_never_an_operator() {
        let (_dir, conn) = empty_ledger();
        conn.execute(
            "INSERT INTO failure_text (rowid, id, code, message, detail) VALUES (1, 'order-7', 'http-422', ?1, '')",
            ["no such customer (\"ACME\")"],
        )
        .unwrap();
        let count = |text: &str| -> i64 {
            let sql = "SELECT count(*) FROM failure_text WHERE failure_text MATCH ?1";
            conn.query_row(sql, [match_words(text).unwrap()], |row| row.get(0)).unwrap()
        };
        let found = ["customer", "cust", "order-7", "http-422", "\"acme\"", "CUSTOMER no", "(acme"];
        assert!(found.iter().all(|text| count(text) == 1), "{:?}", found.map(count));
        let not = ["NOT customer x", "id:zzz", "acme OR zzz", "zzz*", "NEAR(a b)", "{code} : x"];
        assert!(not.iter().all(|text| count(text) == 0), "{:?}", not.map(count));
        assert!(match_words(" * \" - ").is_err());
    }
}
