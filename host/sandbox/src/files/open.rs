//! Opening by path, below a directory: files and directories only, and never anything that has to be waited for.

use super::allowance::Allowance;
use super::descriptor::{Kind, metadata};
use cap_primitives::fs::{FollowSymlinks, Metadata, OpenOptions, open, stat};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs::File;
use std::io;
use std::path::Path;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// How often opening is begun anew because somebody else makes or removes the file meanwhile.
const TRIES_MAX: u32 = 4;

/// How something is to be opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) read: bool,
    pub(crate) write: bool,
    follow: bool,
    create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
}

impl How {
    /// What a plugin asks for.
    pub(crate) fn new(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Result<Self, ErrorCode> {
        let synchronous = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(synchronous) {
            return Err(ErrorCode::Unsupported);
        }
        let how = Self {
            // What is not opened for writing is opened for reading, as the system wants one of them.
            read: flags.contains(DescriptorFlags::READ) || !flags.contains(DescriptorFlags::WRITE),
            write: flags.contains(DescriptorFlags::WRITE) || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE),
            follow: path.contains(PathFlags::SYMLINK_FOLLOW),
            create: open.contains(OpenFlags::CREATE),
            exclusive: open.contains(OpenFlags::CREATE) && open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            directory: open.contains(OpenFlags::DIRECTORY),
        };
        if how.directory && open != OpenFlags::DIRECTORY {
            return Err(ErrorCode::Invalid);
        }
        Ok(how)
    }

    /// To change what is known of a file, not the file.
    pub(crate) fn for_times() -> Self {
        Self {
            read: true,
            write: false,
            follow: true,
            create: false,
            exclusive: false,
            truncate: false,
            directory: false,
        }
    }

    fn links(self) -> FollowSymlinks {
        if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No }
    }

    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        // Without `O_NONBLOCK` a pipe that lies there would be waited for.
        options.read(self.read).write(self.write)._cap_fs_ext_follow(self.links())._cap_fs_ext_nonblock(true);
        options
    }
}

/// Opens a directory of this machine that is to be granted: the one place where a path leads anywhere. Blocks its
/// thread.
pub(crate) fn open_granted(path: &Path) -> io::Result<File> {
    // As a directory only: a pipe at this place is refused, not waited for.
    Ok(Dir::open_ambient_dir(path, ambient_authority())?.into_std_file())
}

/// Opens a file or directory below `start`. A file that is made is taken from the allowance.
pub(crate) fn open_below(
    start: &File,
    path: &Path,
    how: How,
    allowance: Option<&Allowance>,
) -> Result<(File, Kind), ErrorCode> {
    if how.write && allowance.is_none() {
        return Err(ErrorCode::NotPermitted);
    }
    for _ in 0..TRIES_MAX {
        let opened = match stat(start, path, how.links()) {
            Ok(found) => open_existing(start, path, how, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && how.create => {
                make(start, path, how, allowance.ok_or(ErrorCode::NotPermitted)?)?
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(file) = opened {
            return checked(file, how);
        }
    }
    Err(ErrorCode::Busy)
}

/// Looked at before it is opened, because opening a device can do something to it; and after, because it can be
/// another one by then.
fn checked(file: File, how: How) -> Result<(File, Kind), ErrorCode> {
    let kind = Kind::of(&metadata(&file)?).ok_or(ErrorCode::NotPermitted)?;
    if how.directory && kind != Kind::Dir {
        return Err(ErrorCode::NotDirectory);
    }
    if how.truncate && kind == Kind::File {
        file.set_len(0)?;
    }
    Ok((file, kind))
}

/// `None` if it is gone meanwhile and should have been made.
fn open_existing(start: &File, path: &Path, how: How, found: &Metadata) -> Result<Option<File>, ErrorCode> {
    if how.exclusive {
        return Err(ErrorCode::Exist);
    }
    // A link that is not to be followed is left to the system to refuse.
    if Kind::of(found).is_none() && !found.is_symlink() {
        return Err(ErrorCode::NotPermitted);
    }
    match open(start, path, &how.options()) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && how.create => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` if it is there meanwhile.
fn make(start: &File, path: &Path, how: How, allowance: &Allowance) -> Result<Option<File>, ErrorCode> {
    if !allowance.take_file() {
        return Err(ErrorCode::Quota);
    }
    match open(start, path, how.options().create_new(true)) {
        Ok(file) => Ok(Some(file)),
        Err(error) => {
            allowance.give_back_file();
            match error.kind() {
                io::ErrorKind::AlreadyExists if !how.exclusive => Ok(None),
                _ => Err(error.into()),
            }
        }
    }
}
