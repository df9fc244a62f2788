//! The interfaces `wasi:filesystem/preopens` and `wasi:filesystem/types`, as the host fills them.

use super::allowance::GrantedDir;
use super::descriptor::{self, Descriptor, Handle, Kind};
use super::entries::Entries;
use super::open::{How, open_below};
use super::open_files::{Held, Room};
use super::operations::Lane;
use super::streams::{At, FileInput, FileOutput, read_at, set_size, stream_error_code, write_at};
use crate::limits::Limits;
use cap_primitives::fs::{
    DirOptions, FollowSymlinks, SystemTimeSpec, create_dir, read_link, remove_dir, remove_file, rename,
    set_times_nofollow, stat,
};
use crossdock_engine::ports::Clock;
use std::fs::{File, FileTimes};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::{DescriptorFlags, DescriptorStat, ErrorCode, Filesize, MetadataHashValue, NewTimestamp, PathFlags};
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

/// What one instance sees of the file system.
pub(crate) struct Files {
    /// Open, under the names that the plugin sees.
    granted: Vec<(String, Descriptor)>,
    lane: Lane,
    held: Held,
    clock: Arc<dyn Clock>,
}

impl Files {
    /// Nothing is granted at first.
    pub(crate) fn new(lane: Lane, held: Held, clock: Arc<dyn Clock>) -> Self {
        Self { granted: Vec::new(), lane, held, clock }
    }

    /// Grants a directory, which was opened.
    pub(crate) fn grant(&mut self, dir: &GrantedDir, opened: File) {
        let allowance = dir.allowance.clone();
        let (write, handle) = (allowance.is_some(), Handle::new(opened, self.held.take_anyway()));
        let descriptor = Descriptor { handle, kind: Kind::Dir, allowance, read: true, write };
        self.granted.push((dir.guest.clone(), descriptor));
    }

    /// How many operations that the plugin began have not come back.
    pub(crate) fn under_way(&self) -> usize {
        self.lane.under_way()
    }

    /// What the plugin was refused because it has used up what it may write, and what can be done.
    pub(crate) fn used_up(&self) -> impl Iterator<Item = &str> {
        self.granted.iter().filter_map(|(_, descriptor)| descriptor.allowance.as_ref()?.used_up())
    }
}

/// The files of an instance, with the table in which it holds what it opened.
///
/// Resources stand in the table as our own types. The types that the interfaces name are `wasmtime-wasi`'s, of which
/// nothing is ever made here.
pub(crate) struct FilesView<'a> {
    pub(crate) files: &'a mut Files,
    pub(crate) table: &'a mut ResourceTable,
}

impl HasData for Files {
    type Data<'a> = FilesView<'a>;
}

fn ours<Theirs: 'static, Ours: 'static>(resource: &Resource<Theirs>) -> Resource<Ours> {
    Resource::new_borrow(resource.rep())
}

fn theirs<Theirs: 'static, Ours: 'static>(resource: &Resource<Ours>) -> Resource<Theirs> {
    Resource::new_own(resource.rep())
}

impl FilesView<'_> {
    fn get(&self, resource: &Resource<types::Descriptor>) -> wasmtime::Result<&Descriptor> {
        Ok(self.table.get(&ours(resource))?)
    }

    /// Puts something into the table. A table that is full is no reason to end a plugin.
    fn push<T: Send + 'static>(&mut self, entry: T) -> Result<Resource<T>, ErrorCode> {
        self.table.push(entry).map_err(|_| ErrorCode::InsufficientMemory)
    }

    fn room(&self, files: usize) -> Result<Room, ErrorCode> {
        self.files.held.take(files).ok_or(ErrorCode::InsufficientMemory)
    }

    /// Does what blocks its thread with an open file or directory.
    fn with<T, E, W>(&self, handle: &Arc<Handle>, work: W) -> impl Future<Output = FsResult<T>> + Send + use<T, E, W>
    where
        T: Send + 'static,
        E: Into<ErrorCode> + Send + 'static,
        W: FnOnce(&Arc<Handle>) -> Result<T, E> + Send + 'static,
    {
        let handle = handle.clone();
        let running = self.files.lane.run(move || work(&handle));
        async move { running.await.map_err(FsError::trap)?.map_err(|error| error.into().into()) }
    }

    fn time(&self, new: NewTimestamp) -> Result<Option<SystemTime>, ErrorCode> {
        let since = match new {
            NewTimestamp::NoChange => return Ok(None),
            NewTimestamp::Now => Duration::from_millis(u64::try_from(self.files.clock.now().0).unwrap_or(0)),
            // Not `Duration::new`, which panics on more seconds than there are.
            NewTimestamp::Timestamp(time) => Duration::from_secs(time.seconds)
                .checked_add(Duration::from_nanos(time.nanoseconds.into()))
                .ok_or(ErrorCode::Overflow)?,
        };
        UNIX_EPOCH.checked_add(since).map(Some).ok_or(ErrorCode::Overflow)
    }

    fn output(&mut self, fd: &Resource<types::Descriptor>, at: At) -> FsResult<Resource<DynOutputStream>> {
        let found = self.get(fd).map_err(FsError::trap)?;
        let (handle, allowance) = (found.file()?.clone(), found.writable()?.clone());
        let stream: DynOutputStream = Box::new(FileOutput::new(handle, allowance, self.files.lane.clone(), at));
        Ok(self.push(stream)?)
    }
}

fn times(accessed: Option<SystemTime>, modified: Option<SystemTime>) -> FileTimes {
    let mut times = FileTimes::new();
    if let Some(accessed) = accessed {
        times = times.set_accessed(accessed);
    }
    if let Some(modified) = modified {
        times = times.set_modified(modified);
    }
    times
}

fn links(flags: PathFlags) -> FollowSymlinks {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { FollowSymlinks::Yes } else { FollowSymlinks::No }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<types::Descriptor>, String)>> {
        let push = |(guest, dir): &(String, Descriptor)| Ok((theirs(&self.table.push(dir.clone())?), guest.clone()));
        self.files.granted.iter().map(push).collect()
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(stream_error_code(self.table.get(&error)?))
    }
}

impl types::HostDescriptor for FilesView<'_> {
    fn read_via_stream(
        &mut self,
        fd: Resource<types::Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let handle = found.file().map_err(|_| ErrorCode::IsDirectory)?.clone();
        let stream: DynInputStream = Box::new(FileInput::new(handle, self.files.lane.clone(), offset));
        Ok(self.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<types::Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, At::Position(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<types::Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, At::End)
    }

    /// Advice may be ignored, and some of it would have the host wait for the disk.
    async fn advise(
        &mut self,
        fd: Resource<types::Descriptor>,
        _: Filesize,
        _: Filesize,
        _: types::Advice,
    ) -> FsResult<()> {
        self.get(&fd).map_err(FsError::trap)?.file()?;
        Ok(())
    }

    async fn sync_data(&mut self, fd: Resource<types::Descriptor>) -> FsResult<()> {
        let handle = self.get(&fd).map_err(FsError::trap)?.handle.clone();
        self.with(&handle, |handle| handle.file.sync_data()).await
    }

    async fn sync(&mut self, fd: Resource<types::Descriptor>) -> FsResult<()> {
        let handle = self.get(&fd).map_err(FsError::trap)?.handle.clone();
        self.with(&handle, |handle| handle.file.sync_all()).await
    }

    async fn get_flags(&mut self, fd: Resource<types::Descriptor>) -> FsResult<DescriptorFlags> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let write = if found.kind == Kind::Dir { DescriptorFlags::MUTATE_DIRECTORY } else { DescriptorFlags::WRITE };
        let mut flags = DescriptorFlags::empty();
        if found.read {
            flags |= DescriptorFlags::READ;
        }
        if found.write {
            flags |= write;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Resource<types::Descriptor>) -> FsResult<types::DescriptorType> {
        Ok(match self.get(&fd).map_err(FsError::trap)?.kind {
            Kind::File => types::DescriptorType::RegularFile,
            Kind::Dir => types::DescriptorType::Directory,
        })
    }

    async fn set_size(&mut self, fd: Resource<types::Descriptor>, size: Filesize) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let (handle, allowance) = (found.file()?.clone(), found.writable()?.clone());
        self.with(&handle, move |handle| set_size(&handle.file, &allowance, size)).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<types::Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        found.writable()?;
        let (handle, times) = (found.handle.clone(), times(self.time(accessed)?, self.time(modified)?));
        self.with(&handle, move |handle| handle.file.set_times(times)).await
    }

    async fn read(
        &mut self,
        fd: Resource<types::Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let handle = self.get(&fd).map_err(FsError::trap)?.file()?.clone();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.with(&handle, move |handle| read_at(&handle.file, length, offset)).await?;
        let at_end = bytes.is_empty();
        Ok((bytes.into(), at_end))
    }

    async fn write(&mut self, fd: Resource<types::Descriptor>, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let (handle, allowance) = (found.file()?.clone(), found.writable()?.clone());
        let work = move |handle: &Arc<Handle>| {
            let piece = &bytes[..bytes.len().min(Limits::FILE_CHUNK_MAX_BYTES)];
            write_at(&handle.file, &allowance, piece, At::Position(offset)).map(|()| piece.len() as Filesize)
        };
        self.with(&handle, work).await
    }

    async fn read_directory(
        &mut self,
        fd: Resource<types::Descriptor>,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let handle = self.get(&fd).map_err(FsError::trap)?.dir()?.clone();
        let room = self.room(Entries::OPEN_FILES)?;
        let entries = self.with(&handle, move |handle| Entries::begin(handle, room)).await?;
        Ok(theirs(&self.push(entries)?))
    }

    async fn create_directory_at(&mut self, fd: Resource<types::Descriptor>, path: String) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let (handle, allowance) = (found.dir()?.clone(), found.writable()?.clone());
        let work = move |handle: &Arc<Handle>| {
            if !allowance.take_file() {
                return Err(ErrorCode::Quota);
            }
            create_dir(&handle.file, path.as_ref(), &DirOptions::new())
                .inspect_err(|_| allowance.give_back_file())
                .map_err(ErrorCode::from)
        };
        self.with(&handle, work).await
    }

    async fn stat(&mut self, fd: Resource<types::Descriptor>) -> FsResult<DescriptorStat> {
        let handle = self.get(&fd).map_err(FsError::trap)?.handle.clone();
        let work = |handle: &Arc<Handle>| descriptor::metadata(&handle.file).map(|found| descriptor::stat(&found));
        self.with(&handle, work).await
    }

    async fn stat_at(
        &mut self,
        fd: Resource<types::Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let handle = self.get(&fd).map_err(FsError::trap)?.dir()?.clone();
        let work = move |handle: &Arc<Handle>| stat(&handle.file, path.as_ref(), links(flags));
        Ok(descriptor::stat(&self.with(&handle, work).await?))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<types::Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let handle = found.dir()?.clone();
        found.writable()?;
        let (accessed, modified) = (self.time(accessed)?, self.time(modified)?);
        // Held while the file is open.
        let room = self.room(1)?;
        let work = move |handle: &Arc<Handle>| {
            let _room = room;
            let path: &Path = path.as_ref();
            if flags.contains(PathFlags::SYMLINK_FOLLOW) {
                let (file, _) = open_below(&handle.file, path, How::for_times(), None)?;
                return file.set_times(times(accessed, modified)).map_err(ErrorCode::from);
            }
            let spec = |time: Option<SystemTime>| {
                time.map(|time| SystemTimeSpec::Absolute(cap_primitives::time::SystemTime::from_std(time)))
            };
            set_times_nofollow(&handle.file, path, spec(accessed), spec(modified)).map_err(ErrorCode::from)
        };
        self.with(&handle, work).await
    }

    /// No plugin makes links: whoever follows one later, of the host or of other programs, would go where the plugin
    /// cannot.
    async fn link_at(
        &mut self,
        _: Resource<types::Descriptor>,
        _: PathFlags,
        _: String,
        _: Resource<types::Descriptor>,
        _: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    /// As for [`link_at`](Self::link_at).
    async fn symlink_at(&mut self, _: Resource<types::Descriptor>, _: String, _: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn open_at(
        &mut self,
        fd: Resource<types::Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: types::OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<types::Descriptor>> {
        let how = How::new(path_flags, open_flags, flags)?;
        let found = self.get(&fd).map_err(FsError::trap)?;
        let (handle, allowance) = (found.dir()?.clone(), found.allowance.clone());
        let room = self.room(1)?;
        let work = move |handle: &Arc<Handle>| {
            let (file, kind) = open_below(&handle.file, path.as_ref(), how, allowance.as_deref())?;
            let (read, write, handle) = (how.read, how.write, Handle::new(file, room));
            Ok::<_, ErrorCode>(Descriptor { handle, kind, allowance, read, write })
        };
        let opened = self.with(&handle, work).await?;
        Ok(theirs(&self.push(opened)?))
    }

    async fn readlink_at(&mut self, fd: Resource<types::Descriptor>, path: String) -> FsResult<String> {
        let handle = self.get(&fd).map_err(FsError::trap)?.dir()?.clone();
        let target = self.with(&handle, move |handle| read_link(&handle.file, path.as_ref())).await?;
        Ok(target.into_os_string().into_string().map_err(|_| ErrorCode::IllegalByteSequence)?)
    }

    async fn remove_directory_at(&mut self, fd: Resource<types::Descriptor>, path: String) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let handle = found.dir()?.clone();
        found.writable()?;
        self.with(&handle, move |handle| remove_dir(&handle.file, path.as_ref())).await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<types::Descriptor>,
        old_path: String,
        new_fd: Resource<types::Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (from, to) = (self.get(&fd).map_err(FsError::trap)?, self.get(&new_fd).map_err(FsError::trap)?);
        let (old, new) = (from.dir()?.clone(), to.dir()?.clone());
        from.writable()?;
        to.writable()?;
        let work = move |old: &Arc<Handle>| {
            // A link that somebody else made stays where it is: elsewhere it leads elsewhere.
            if stat(&old.file, old_path.as_ref(), FollowSymlinks::No)?.is_symlink() {
                return Err(ErrorCode::NotPermitted);
            }
            rename(&old.file, old_path.as_ref(), &new.file, new_path.as_ref()).map_err(ErrorCode::from)
        };
        self.with(&old, work).await
    }

    async fn unlink_file_at(&mut self, fd: Resource<types::Descriptor>, path: String) -> FsResult<()> {
        let found = self.get(&fd).map_err(FsError::trap)?;
        let handle = found.dir()?.clone();
        found.writable()?;
        self.with(&handle, move |handle| remove_file(&handle.file, path.as_ref())).await
    }

    async fn is_same_object(
        &mut self,
        a: Resource<types::Descriptor>,
        b: Resource<types::Descriptor>,
    ) -> wasmtime::Result<bool> {
        let (a, b) = (self.get(&a)?.handle.clone(), self.get(&b)?.handle.clone());
        let work = move || Ok::<_, std::io::Error>((descriptor::metadata(&a.file)?, descriptor::metadata(&b.file)?));
        let compared = self.files.lane.run(work);
        let (a, b) = compared.await??;
        Ok(descriptor::identity(&a) == descriptor::identity(&b))
    }

    async fn metadata_hash(&mut self, fd: Resource<types::Descriptor>) -> FsResult<MetadataHashValue> {
        let handle = self.get(&fd).map_err(FsError::trap)?.handle.clone();
        let found = self.with(&handle, |handle| descriptor::metadata(&handle.file)).await?;
        Ok(descriptor::metadata_hash(&found))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<types::Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let handle = self.get(&fd).map_err(FsError::trap)?.dir()?.clone();
        let work = move |handle: &Arc<Handle>| stat(&handle.file, path.as_ref(), links(flags));
        Ok(descriptor::metadata_hash(&self.with(&handle, work).await?))
    }

    fn drop(&mut self, fd: Resource<types::Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Descriptor>::new_own(fd.rep()))?;
        Ok(())
    }
}

impl types::HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        let entries: &mut Entries = self.table.get_mut(&ours(&stream)).map_err(FsError::trap)?;
        let next = entries.next(&self.files.lane).await.map_err(FsError::trap)?;
        Ok(next.transpose()?)
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Entries>::new_own(stream.rep()))?;
        Ok(())
    }
}
