//! The list of records, over rows, chunks and what is under way.

use super::PAGE_MAX;
use super::summary::{
    CHUNK_COLUMNS, ChunkMeta, Names, UnderWay, chunk_summary, flight_summary, read_chunk, read_chunk_with, route_key,
    row_summary,
};
use super::types::{Cursor, Page, Place, RecordFilter, RecordSummary, other_list};
use crate::error::LedgerError;
use crate::record::{self, StoredRecord};
use crate::run;
use crossdock_model::Status;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Names of a filter looked up.
#[derive(Debug, Default)]
pub(super) struct Selection {
    route: Option<i64>,
    run: Option<i64>,
}

impl Selection {
    /// `None`: there is no such route or run, so that nothing is meant.
    pub(super) fn of(conn: &Connection, filter: &RecordFilter) -> Result<Option<Self>, LedgerError> {
        let mut selection = Self::default();
        if let Some(name) = &filter.route {
            selection.route = route_key(conn, name)?;
            if selection.route.is_none() {
                return Ok(None);
            }
        }
        if let Some(id) = &filter.run {
            selection.run = run::find(conn, &id.0)?.map(|run| run.key);
            if selection.run.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(selection))
    }
}

/// A question with its names looked up.
struct Question<'a> {
    conn: &'a Connection,
    filter: &'a RecordFilter,
    selection: Selection,
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
    let Some(mut question) = Question::new(conn, filter, limit + 1, alive)? else {
        return Ok(Page { items: Vec::new(), next: None });
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

/// What is under way, in numbers of records: those that a filter lets through because of it, and those whose row it
/// would let through if they were not.
pub(super) fn under_way(conn: &Connection, filter: &RecordFilter, alive: bool) -> Result<(u64, u64), LedgerError> {
    let Some(mut question) = Question::new(conn, filter, usize::MAX, alive)? else { return Ok((0, 0)) };
    let mut hidden = 0;
    if alive && !filter.wants(Status::Processing) {
        for (route, id) in question.under_way.last.keys() {
            let stored = record::find(conn, *route, id)?;
            hidden += u64::from(stored.is_some_and(|stored| question.admits(&stored)));
        }
    }
    question.in_flight(None)?;
    Ok((question.found.len() as u64, hidden))
}

/// The conditions on rows of records, and their values. `status` is one of those that are asked for.
pub(super) fn conditions(filter: &RecordFilter, status: Option<Status>, selection: &Selection) -> (String, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut add = |column: &str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(format!("{column} ?"));
            values.push(value);
        }
    };
    let text = |text: &str| Value::from(text.to_owned());
    add("r.route =", selection.route.map(Value::from));
    add("r.run =", selection.run.map(Value::from));
    add("r.status =", status.map(|status| text(status.as_str())));
    add("r.code =", filter.code.as_deref().map(text));
    add("r.fingerprint =", filter.fingerprint.as_deref().map(text));
    add("r.step =", filter.step.as_ref().map(|step| text(step.as_str())));
    add("r.id =", filter.id.as_ref().map(|id| text(&id.0)));
    add("r.at >=", filter.since.map(|since| since.0.into()));
    add("r.at <", Some(filter.until.map_or(i64::MAX, |until| until.0).into()));
    (conditions.join(" AND "), values)
}

/// The index that the conditions on rows are looked up in.
pub(super) fn index(filter: &RecordFilter, status: Option<Status>) -> &'static str {
    match filter {
        RecordFilter { id: Some(_), .. } => "record_by_id",
        RecordFilter { run: Some(_), .. } => "record_by_run",
        RecordFilter { fingerprint: Some(_), .. } => "record_by_fingerprint",
        RecordFilter { code: Some(_), .. } => "record_by_code",
        RecordFilter { route: Some(_), .. } if status.is_some() => "record_by_route_status",
        RecordFilter { step: Some(_), .. } => "record_by_step",
        _ if status.is_some() => "record_by_status",
        RecordFilter { route: Some(_), .. } => "record_by_route",
        _ => "record_by_at",
    }
}

/// The statement for records with a row, and its values. Every combination walks one index backwards.
fn rows_sql(filter: &RecordFilter, status: Option<Status>, selection: &Selection) -> (String, Vec<Value>) {
    let (conditions, values) = conditions(filter, status, selection);
    let sql = format!(
        "SELECT {} FROM record r INDEXED BY {} WHERE {conditions} AND (r.at, r.key) < (?, ?)
         ORDER BY r.at DESC, r.key DESC LIMIT ?",
        record::COLUMNS,
        index(filter, status)
    );
    (sql, values)
}

/// The conditions on chunks, their values, and the index.
pub(super) fn chunk_conditions(filter: &RecordFilter, selection: &Selection) -> (String, Vec<Value>, &'static str) {
    let mut conditions = String::new();
    let mut values: Vec<Value> = Vec::new();
    let since = filter.since.map(|since| since.0);
    for (column, value) in [("c.route =", selection.route), ("c.run =", selection.run), ("c.at >=", since)] {
        if let Some(value) = value {
            conditions.push_str(&format!("{column} ? AND "));
            values.push(value.into());
        }
    }
    match (filter.wants(Status::Ok), filter.wants(Status::Dropped)) {
        (true, false) => conditions.push_str("c.ok > 0 AND "),
        (false, true) => conditions.push_str("c.dropped > 0 AND "),
        _ => {}
    }
    conditions.push_str("c.at < ?");
    values.push(filter.until.map_or(i64::MAX, |until| until.0).into());
    let index = match selection {
        Selection { run: Some(_), .. } => "chunk_by_run",
        Selection { route: Some(_), .. } => "chunk_by_route",
        _ => "chunk_by_at",
    };
    (conditions, values, index)
}

/// The statement for chunks, without the limit: chunks are read one by one until the page is full.
fn chunks_sql(filter: &RecordFilter, selection: &Selection) -> (String, Vec<Value>) {
    let (conditions, values, index) = chunk_conditions(filter, selection);
    let sql = format!(
        "SELECT {CHUNK_COLUMNS} FROM chunk c INDEXED BY {index} WHERE {conditions} AND (c.at, c.key) <= (?, ?)
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
pub(super) fn match_words(text: &str) -> Result<String, LedgerError> {
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

impl<'a> Question<'a> {
    /// `None`: nothing is meant.
    fn new(
        conn: &'a Connection,
        filter: &'a RecordFilter,
        want: usize,
        alive: bool,
    ) -> Result<Option<Self>, LedgerError> {
        let Some(selection) = Selection::of(conn, filter)? else { return Ok(None) };
        let under_way = UnderWay::load(conn)?;
        let (names, found) = (Names::default(), Vec::new());
        Ok(Some(Self { conn, filter, selection, want, alive, under_way, names, found }))
    }

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
        self.selection.route.is_none_or(|route| stored.route == route)
            && self.selection.run.is_none_or(|run| stored.run == run)
            && filter.wants(stored.status)
            && filter.until.is_none_or(|until| stored.at < until.0)
            && (filter.fingerprint.is_none() || filter.fingerprint == stored.fingerprint())
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
        // Rows that are under way count as processing and are left out of another status.
        let limit = self.want.saturating_add(self.under_way.len());
        let statuses = self.filter.wanted().map_or(vec![None], |all| all.into_iter().map(Some).collect());
        let mut stored = Vec::new();
        for status in &statuses {
            let (sql, mut values) = rows_sql(self.filter, *status, &self.selection);
            values.extend([at.into(), key.into(), Value::from(i64::try_from(limit).unwrap_or(i64::MAX))]);
            let mut statement = self.conn.prepare_cached(&sql)?;
            let rows = statement.query_and_then(params_from_iter(values), StoredRecord::read)?;
            stored.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        if statuses.len() > 1 {
            stored.sort_by_key(|record| std::cmp::Reverse((record.at, record.key)));
        }
        for record in stored {
            if self.full() {
                break;
            }
            self.push_row(Place::Row(record.at, record.key), record)?;
        }
        Ok(())
    }

    fn push_row(&mut self, place: Place, stored: StoredRecord) -> Result<(), LedgerError> {
        let under_way = self.alive && self.under_way.step_of(stored.route, &stored.id).is_some();
        let mut summary = row_summary(self.conn, &mut self.names, &stored)?;
        if under_way {
            if !self.filter.wants(Status::Processing) {
                return Ok(());
            }
            summary.status = Status::Processing;
        }
        self.found.push((place, summary));
        Ok(())
    }

    fn chunks(&mut self, after: Option<Place>) -> Result<(), LedgerError> {
        let wanted = self.filter.wants(Status::Ok) || self.filter.wants(Status::Dropped);
        if !wanted || self.filter.of_failures() {
            return Ok(());
        }
        let (at, key, index) = match after {
            Some(Place::Chunk(at, key, index)) => (at, key, index),
            _ => (i64::MAX, i64::MAX, -1),
        };
        let (sql, mut values) = chunks_sql(self.filter, &self.selection);
        values.extend([at.into(), key.into()]);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while !self.full() {
            let Some(row) = rows.next()? else { break };
            if let Some(id) = &self.filter.id
                && !ChunkMeta::may_hold(row, id.0.as_bytes())?
            {
                continue;
            }
            let meta = ChunkMeta::read(row)?;
            let begin = if meta.key == key { usize::try_from(index + 1).unwrap_or(0) } else { 0 };
            self.one_chunk(&meta, begin)?;
        }
        Ok(())
    }

    fn one_chunk(&mut self, meta: &ChunkMeta, begin: usize) -> Result<(), LedgerError> {
        let wanted = self.filter.id.as_ref().map(|id| read_chunk_with(self.conn, meta.key, id.0.as_bytes()));
        let (chunk, begin) = match wanted.transpose()? {
            Some(None) => return Ok(()),
            Some(Some((chunk, index))) => (chunk, begin.max(index)),
            None => (read_chunk(self.conn, meta.key)?, begin),
        };
        for index in begin..chunk.ids.len() {
            if self.full() {
                break;
            }
            let id = chunk.ids.text(index);
            let filter = self.filter;
            let unfit = !filter.wants(chunk.statuses[index]) || filter.id.as_ref().is_some_and(|wanted| wanted.0 != id);
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
        if !filter.wants(status) || filter.of_failures() {
            return Ok(());
        }
        let from = if let Some(Place::InFlight(key, index)) = after { (key, index) } else { (-1, -1) };
        let rows = std::mem::take(&mut self.under_way.rows);
        for (position, row) in rows.iter().enumerate() {
            let unfit = self.selection.route.is_some_and(|route| row.route != route)
                || self.selection.run.is_some_and(|run| row.run != run)
                || filter.until.is_some_and(|until| row.at >= until.0)
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
                let shown = stored.as_ref().is_some_and(|stored| filter.wants(stored.status) || !self.alive);
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
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::schema;
    use crossdock_model::{RouteName, RunId, StepName, Timestamp};

    pub(crate) fn empty_ledger() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = schema::open_to_write(dir.path()).unwrap();
        (dir, conn)
    }

    /// The database's own account of how it will answer: no walk through a table, no sorting.
    pub(crate) fn check_plan(conn: &Connection, sql: &str, values: Vec<Value>) {
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

    /// A filter for each set of nine bits.
    pub(in crate::reader) fn some_filter(bits: u16) -> (RecordFilter, Selection) {
        let on = |bit: u16| bits & (1 << bit) != 0;
        let filter = RecordFilter {
            route: on(0).then(|| RouteName::new("r").unwrap()),
            run: on(1).then(|| RunId("u".into())),
            status: on(2).then_some(Status::Ok),
            statuses: if on(6) { vec![Status::Ok, Status::Failed] } else { vec![] },
            code: on(3).then(|| "c".into()),
            since: on(4).then_some(Timestamp(5)),
            until: on(7).then_some(Timestamp(7)),
            step: on(5).then(|| StepName::new("s").unwrap()),
            fingerprint: on(8).then(|| "f".into()),
            ..RecordFilter::default()
        };
        (filter, Selection { route: on(0).then_some(1), run: on(1).then_some(1) })
    }

    #[test]
    fn every_question_about_records_uses_an_index() {
        let (_dir, conn) = empty_ledger();
        for bits in 0..512u16 {
            let (filter, selection) = some_filter(bits);
            for status in filter.wanted().map_or(vec![None], |all| all.into_iter().map(Some).collect()) {
                let (sql, mut values) = rows_sql(&filter, status, &selection);
                values.extend([1.into(), 1.into(), Value::from(10)]);
                check_plan(&conn, &sql, values);
            }
            let (sql, mut values) = chunks_sql(&filter, &selection);
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
