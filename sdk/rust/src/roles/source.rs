//! Sources.

use crate::bindings::source::exports::crossdock::plugin::source as wit;
use crate::column::{ColumnBuilder, SparseColumn};
use crate::describe::Description;
use crate::failure::{CallError, Failure};
use crate::settings::PluginSettings;

/// Brings records in.
///
/// | called | when |
/// |---|---|
/// | [`describe`](Self::describe) | whenever a host looks at the plugin, without settings and without grants |
/// | [`new`](Self::new), then [`re_reads`](Self::re_reads) | once an instance, in front of all below |
/// | [`check`](Self::check) | before each run and each resync, and by `crossdock connectors check` |
/// | [`read`](Self::read) | page after page in a run, until it says that there is no more |
/// | [`ack`](Self::ack) | when all records up to a checkpoint are settled or kept safely, and that is on disk |
/// | [`close`](Self::close) | perhaps, at the end |
///
/// What a source knows of its position belongs into the checkpoint, and nowhere else: the next page may be read by another
/// instance, and after a crash an older checkpoint comes again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source",
    label = "`crossdock_sdk::Source` is not implemented for it",
    note = "write `impl crossdock_sdk::Source for {Self} {{ … }}`, or export it by the macro of the role that it has"
)]
pub trait Source: Sized {
    /// The settings in the route. A JSON Schema for them is derived.
    type Settings: PluginSettings;

    /// What the plugin is. Must not depend on settings, grants or time.
    fn describe() -> Description;

    /// A source with these settings. Must not change anything outside.
    ///
    /// # Errors
    /// A mistake in the route, shown as one.
    fn new(settings: Self::Settings) -> Result<Self, CallError>;

    /// Whether reading again from an older checkpoint gives the same records with the same ids.
    fn re_reads(&self) -> bool;

    /// Reads the page after a checkpoint; `None` is the beginning.
    ///
    /// Called again and again during a run, usually with the checkpoint of the page before, but after a crash or
    /// a stop with an older one. Stop adding records once [`Page::is_full`]. Reading must not change anything
    /// at the origin; that is what [`ack`](Source::ack) is for.
    ///
    /// | answer | what follows |
    /// |---|---|
    /// | [`More::More`] | the next page is read at once, from this page's checkpoint, which must have moved |
    /// | [`More::Idle`], [`More::End`] | the run reads no more; the next one begins at this page's checkpoint |
    /// | `Err` of [`CallError::unavailable`] and others | the run ends; the next one reads from the same checkpoint |
    /// | `Err` of [`CallError::checkpoint_refused`] | the run ends, and a person has to decide |
    ///
    /// A record that cannot be read is given all the same, and [`unreadable`](RecordRef::unreadable) said of it: the others pass.
    ///
    /// # Errors
    /// Nothing could be read. Records added before are forgotten; they are read again later.
    fn read(&mut self, checkpoint: Option<&[u8]>, page: &mut Page) -> Result<More, CallError>;

    /// All records up to this checkpoint are settled or kept safely, and that is on disk.
    ///
    /// # Errors
    /// Reported; it does not change what became of the records.
    fn ack(&mut self, checkpoint: &[u8]) -> Result<(), CallError> {
        let _ = checkpoint;
        Ok(())
    }

    /// Whether the other system can be used now: reachable, credentials accepted. Must not change anything there.
    ///
    /// # Errors
    /// It cannot.
    fn check(&mut self) -> Result<(), CallError> {
        Ok(())
    }

    /// Called before the instance is thrown away in good order. It may never be called.
    fn close(&mut self) {}
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum More {
    /// Ask again at once.
    More,
    /// Nothing more at the moment; there may be later.
    Idle,
    /// Nothing more, ever.
    End,
}

/// How much one page may hold; the smaller limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// At least 1.
    pub max_records: u32,
    /// Of ids and payloads together.
    pub max_bytes: u32,
}

/// The page that a source fills.
#[derive(Debug)]
pub struct Page {
    limits: Limits,
    ids: ColumnBuilder,
    payloads: ColumnBuilder,
    order_keys: Option<ColumnBuilder>,
    attributes: Vec<(String, SparseColumn)>,
    unreadable: Vec<wit::Unreadable>,
    checkpoint: Option<Vec<u8>>,
}

impl Page {
    pub(crate) fn new(limits: Limits) -> Self {
        // Room for what usually comes; a host that allows much does not make every page cost much.
        let (records, bytes) = (limits.max_records.min(1024) as usize, limits.max_bytes.min(256 * 1024) as usize);
        Self {
            limits,
            ids: ColumnBuilder::with_capacity(records, records * 16),
            payloads: ColumnBuilder::with_capacity(records, bytes),
            order_keys: None,
            attributes: Vec::new(),
            unreadable: Vec::new(),
            checkpoint: None,
        }
    }

    /// How much it may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes ids and payloads have together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ids.data.len() + self.payloads.data.len()
    }

    /// Whether it must not get any more records.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.limits.max_records as usize || self.bytes() >= self.limits.max_bytes as usize
    }

    /// Whether a record of this size, id and payload together, still fits. An empty page takes a record of any size.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        self.is_empty()
            || (self.len() < self.limits.max_records as usize && self.bytes() + bytes <= self.limits.max_bytes as usize)
    }

    /// Adds a record.
    ///
    /// The id is its stable identity, 1 to 512 bytes without control characters: the same record has the same
    /// id whenever it is read again, and no two records of the source share one.
    pub fn push(&mut self, id: &str, payload: impl AsRef<[u8]>) -> RecordRef<'_> {
        self.ids.push(id.as_bytes());
        self.payloads.push(payload.as_ref());
        RecordRef { index: self.len() - 1, page: self }
    }

    /// The position after this page: what `read` is given to go on from here. At most 64 KiB, without meaning to
    /// the host. A page with records must move it; unless told, it stays where it was.
    pub fn checkpoint(&mut self, position: impl Into<Vec<u8>>) {
        self.checkpoint = Some(position.into());
    }

    fn finish(mut self, before: Option<Vec<u8>>, more: More) -> wit::Page {
        let records = self.len();
        if let Some(keys) = &mut self.order_keys {
            keys.pad_to(records);
        }
        let column = |(name, values): (String, SparseColumn)| {
            crate::bindings::base::crossdock::plugin::types::Attribute { name, values: values.finish_len(records) }
        };
        wit::Page {
            ids: self.ids.finish(),
            payloads: self.payloads.finish(),
            attributes: self.attributes.into_iter().map(column).collect(),
            order_keys: self.order_keys.unwrap_or_else(|| ColumnBuilder::with_capacity(0, 0)).finish(),
            unreadable: self.unreadable,
            checkpoint: self.checkpoint.or(before).unwrap_or_default(),
            more: match more {
                More::More => wit::More::More,
                More::Idle => wit::More::Idle,
                More::End => wit::More::End,
            },
        }
    }
}

/// The record added last, to say more about it.
#[derive(Debug)]
pub struct RecordRef<'a> {
    page: &'a mut Page,
    index: usize,
}

impl RecordRef<'_> {
    /// Records with the same order key are kept in order.
    pub fn order_key(self, key: impl AsRef<[u8]>) -> Self {
        let keys = self.page.order_keys.get_or_insert_with(|| ColumnBuilder::with_capacity(0, 0));
        keys.pad_to(self.index);
        keys.truncate(self.index);
        keys.push(key.as_ref());
        self
    }

    /// A further value of the record. Names are at most 128 bytes, and a page has at most 64 of them.
    pub fn attribute(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let attributes = &mut self.page.attributes;
        let place = attributes.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            attributes.push((name.to_owned(), SparseColumn::default()));
            attributes.len() - 1
        });
        if let Some((_, column)) = attributes.get_mut(place) {
            column.set(self.index, self.index + 1, value.as_ref());
        }
        self
    }

    /// The record was found but cannot be read, for example a line that does not parse. The payload holds what
    /// was found. The host keeps such a record as `rejected`; the others pass.
    pub fn unreadable(self, failure: Failure) -> Self {
        let (index, failure) = (self.index as u32, failure.into_wit());
        self.page.unreadable.retain(|known| known.index != index);
        self.page.unreadable.push(wit::Unreadable { index, failure });
        self
    }
}

/// Reads one page.
pub(crate) fn read<S: Source>(
    source: &mut S,
    checkpoint: Option<Vec<u8>>,
    limits: Limits,
) -> Result<wit::Page, CallError> {
    let mut page = Page::new(limits);
    let more = source.read(checkpoint.as_deref(), &mut page)?;
    Ok(page.finish(checkpoint, more))
}
