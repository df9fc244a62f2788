//! The durable table of records and the event log, in SQLite.
