//! What a plugin holds when it has opened a file or a directory.

use super::allowance::Allowance;
use super::open_files::Room;
use cap_primitives::fs::{FileType, FileTypeExt as _, Metadata, MetadataExt as _};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue};

/// An open file or directory, together with the room that it takes.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) file: File,
    _room: Room,
}

impl Handle {
    pub(crate) fn new(file: File, room: Room) -> Arc<Self> {
        Arc::new(Self { file, _room: room })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
}

impl Kind {
    /// What may be opened: nothing else is a file that can be read and written without waiting for somebody.
    pub(crate) fn of(found: &Metadata) -> Option<Self> {
        if found.is_file() {
            return Some(Self::File);
        }
        found.is_dir().then_some(Self::Dir)
    }
}

/// An entry of the plugin's table.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor {
    pub(crate) handle: Arc<Handle>,
    pub(crate) kind: Kind,
    /// What may be written below the directory that was granted; `None` if nothing may.
    pub(crate) allowance: Option<Arc<Allowance>>,
    /// How it was opened.
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Descriptor {
    pub(crate) fn file(&self) -> Result<&Arc<Handle>, ErrorCode> {
        match self.kind {
            Kind::File => Ok(&self.handle),
            Kind::Dir => Err(ErrorCode::BadDescriptor),
        }
    }

    pub(crate) fn dir(&self) -> Result<&Arc<Handle>, ErrorCode> {
        match self.kind {
            Kind::Dir => Ok(&self.handle),
            Kind::File => Err(ErrorCode::NotDirectory),
        }
    }

    /// What may be written, if the grant is one for writing.
    pub(crate) fn writable(&self) -> Result<&Arc<Allowance>, ErrorCode> {
        self.allowance.as_ref().ok_or(ErrorCode::NotPermitted)
    }
}

/// What is known of an open file.
pub(crate) fn metadata(file: &File) -> io::Result<Metadata> {
    Metadata::from_file(file)
}

pub(crate) fn stat(found: &Metadata) -> DescriptorStat {
    let time = |time: io::Result<cap_primitives::time::SystemTime>| datetime(time.ok()?.into_std());
    DescriptorStat {
        type_: descriptor_type(found.file_type()),
        link_count: found.nlink(),
        size: found.len(),
        data_access_timestamp: time(found.accessed()),
        data_modification_timestamp: time(found.modified()),
        status_change_timestamp: changed(found),
    }
}

fn datetime(time: SystemTime) -> Option<Datetime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
}

fn changed(found: &Metadata) -> Option<Datetime> {
    let (seconds, nanoseconds) = (u64::try_from(found.ctime()).ok()?, u32::try_from(found.ctime_nsec()).ok()?);
    Some(Datetime { seconds, nanoseconds })
}

pub(crate) fn descriptor_type(found: FileType) -> DescriptorType {
    if found.is_dir() {
        DescriptorType::Directory
    } else if found.is_file() {
        DescriptorType::RegularFile
    } else if found.is_symlink() {
        DescriptorType::SymbolicLink
    } else if found.is_fifo() {
        DescriptorType::Fifo
    } else if found.is_socket() {
        DescriptorType::Socket
    } else if found.is_block_device() {
        DescriptorType::BlockDevice
    } else if found.is_char_device() {
        DescriptorType::CharacterDevice
    } else {
        DescriptorType::Unknown
    }
}

/// Which file it is.
pub(crate) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// The same as a number that is equal for equal files.
pub(crate) fn metadata_hash(found: &Metadata) -> MetadataHashValue {
    let mut hasher = DefaultHasher::new();
    identity(found).hash(&mut hasher);
    let lower = hasher.finish();
    // There is no more to say than these 64 bits.
    MetadataHashValue { lower, upper: lower.rotate_left(32) }
}
