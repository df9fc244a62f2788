//! A recorder between SQLite and the files of one folder: what was written, cut, synced, made and removed, in order.
//!
//! It stands in for the platform's file layer in the whole test process. Only the four calls that change files are
//! its own; everything else is the platform's.
#![allow(unsafe_code)]

use rusqlite::ffi;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// One change, with the number of the file (a new one whenever a file is made) or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Make {
        file: usize,
        name: String,
    },
    Write {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: usize,
        len: usize,
    },
    /// `folder`: the entries of the folder are synced with it.
    Sync {
        file: usize,
        folder: bool,
    },
    Remove {
        name: String,
        folder: bool,
    },
}

#[derive(Default)]
struct Recorder {
    dir: PathBuf,
    ops: Vec<Op>,
    /// The files that exist by name, with their numbers.
    names: HashMap<String, usize>,
    files: usize,
    /// New files that SQLite syncs together with their folder.
    unsynced: Vec<usize>,
}

struct Open {
    platform: *const ffi::sqlite3_io_methods,
    /// The number of the file, if it is recorded.
    file: Option<usize>,
}

struct Shim {
    platform: *mut ffi::sqlite3_vfs,
    /// By the address of SQLite's file object.
    open: Mutex<HashMap<usize, Open>>,
    /// Our table of calls for each of the platform's.
    tables: Mutex<HashMap<usize, usize>>,
    recorder: Mutex<Option<Recorder>>,
    /// `synchronous = FULL` is turned into `NORMAL`.
    weak: AtomicBool,
    /// One write in about so many finds the disk full after half of it; 0: none.
    full_every: AtomicUsize,
    /// How many writes there are until the next that does, and how many did.
    writes: AtomicUsize,
    refused: AtomicUsize,
    /// One recording at a time.
    turn: Mutex<()>,
}

// SAFETY: `platform` points to a structure that SQLite keeps for the life of the process and never changes.
unsafe impl Send for Shim {}
// SAFETY: as above; all that changes stands behind a mutex.
unsafe impl Sync for Shim {}

static SHIM: OnceLock<Shim> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shim, put in place when it is first asked for.
fn shim() -> &'static Shim {
    SHIM.get_or_init(|| {
        // SAFETY: asks for the default file layer; the answer lives as long as the process.
        let platform = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!platform.is_null());
        // SAFETY: `platform` is valid; the copy differs in name and two calls, and is never freed.
        let ours = unsafe {
            let mut ours = std::ptr::read(platform);
            ours.zName = c"recorded".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            Box::leak(Box::new(ours))
        };
        // SAFETY: `ours` is complete and leaked.
        assert_eq!(unsafe { ffi::sqlite3_vfs_register(ours, 1) }, ffi::SQLITE_OK);
        Shim {
            platform,
            open: Mutex::default(),
            tables: Mutex::default(),
            recorder: Mutex::default(),
            weak: AtomicBool::new(false),
            full_every: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            turn: Mutex::default(),
        }
    })
}

/// A recording that is going on. One at a time; the next one waits.
pub(crate) struct Recording {
    _turn: MutexGuard<'static, ()>,
}

impl Recording {
    /// Begins to record what happens in a folder. `weak`: SQLite syncs as with `synchronous = NORMAL`, whatever it is told.
    pub(crate) fn of(dir: &Path, weak: bool) -> Self {
        let turn = lock(&shim().turn);
        shim().weak.store(weak, Ordering::SeqCst);
        *lock(&shim().recorder) = Some(Recorder { dir: dir.to_owned(), ..Recorder::default() });
        Self { _turn: turn }
    }

    /// How many changes were made by now.
    pub(crate) fn len(&self) -> usize {
        lock(&shim().recorder).as_ref().map_or(0, |recorder| recorder.ops.len())
    }

    /// From now on one write in about so many finds the disk full after half of it; 0: none. Answers how many did until
    /// now.
    pub(crate) fn fill_disk(&self, every: usize) -> usize {
        shim().full_every.store(every, Ordering::SeqCst);
        shim().writes.store(every, Ordering::SeqCst);
        shim().refused.swap(0, Ordering::SeqCst)
    }

    /// All changes.
    pub(crate) fn finish(self) -> Vec<Op> {
        lock(&shim().recorder).take().map(|recorder| recorder.ops).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.fill_disk(0);
        shim().weak.store(false, Ordering::SeqCst);
        *lock(&shim().recorder) = None;
    }
}

fn note(file: *mut ffi::sqlite3_file, op: impl FnOnce(usize) -> Op) {
    let Some(file) = lock(&shim().open).get(&(file as usize)).and_then(|open| open.file) else { return };
    if let Some(recorder) = lock(&shim().recorder).as_mut() {
        recorder.ops.push(op(file));
    }
}

fn platform(file: *mut ffi::sqlite3_file) -> &'static ffi::sqlite3_io_methods {
    let table = lock(&shim().open).get(&(file as usize)).map(|open| open.platform).unwrap();
    // SAFETY: the platform's tables are static.
    unsafe { &*table }
}

/// The name of a file, if it is in the folder that is recorded.
fn recorded(recorder: &Recorder, name: *const c_char) -> Option<String> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite gives names that end with a zero byte.
    let path = Path::new(unsafe { CStr::from_ptr(name) }.to_str().ok()?);
    (path.parent() == Some(recorder.dir.as_path())).then(|| path.file_name()?.to_str().map(str::to_owned))?
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let shim = shim();
    // SAFETY: the arguments are those that SQLite gave for its own layer, whose file object has the same size.
    let code = unsafe { (*shim.platform).xOpen.unwrap()(shim.platform, name, file, flags, out) };
    // SAFETY: the platform's open has set the table of calls, or left it null.
    let platform = unsafe { (*file).pMethods };
    if code != ffi::SQLITE_OK || platform.is_null() {
        return code;
    }
    let number = lock(&shim.recorder).as_mut().and_then(|recorder| {
        let name = recorded(recorder, name)?;
        Some(*recorder.names.entry(name.clone()).or_insert_with(|| {
            recorder.files += 1;
            if flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0 {
                recorder.unsynced.push(recorder.files);
            }
            recorder.ops.push(Op::Make { file: recorder.files, name });
            recorder.files
        }))
    });
    lock(&shim.open).insert(file as usize, Open { platform, file: number });
    let table = *lock(&shim.tables).entry(platform as usize).or_insert_with(|| {
        // SAFETY: the platform's table is static; the copy is leaked.
        let mut ours = unsafe { std::ptr::read(platform) };
        ours.xClose = Some(close);
        ours.xWrite = Some(write);
        ours.xTruncate = Some(truncate);
        ours.xSync = Some(sync);
        ours.xFileControl = Some(control);
        std::ptr::from_ref(Box::leak(Box::new(ours))) as usize
    });
    // SAFETY: the table is complete and leaked; the calls that are not ours get the object they were made for.
    unsafe { (*file).pMethods = table as *const ffi::sqlite3_io_methods };
    code
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, folder: c_int) -> c_int {
    let shim = shim();
    // SAFETY: the arguments are those that SQLite gave.
    let code = unsafe { (*shim.platform).xDelete.unwrap()(shim.platform, name, folder) };
    if code == ffi::SQLITE_OK
        && let Some(recorder) = lock(&shim.recorder).as_mut()
        && let Some(name) = recorded(recorder, name)
        && recorder.names.remove(&name).is_some()
    {
        recorder.ops.push(Op::Remove { name, folder: folder != 0 });
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let platform = platform(file);
    lock(&shim().open).remove(&(file as usize));
    // SAFETY: the file object is the one that the platform opened.
    unsafe { platform.xClose.unwrap()(file) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, len: c_int, at: i64) -> c_int {
    let is_recorded = lock(&shim().open).get(&(file as usize)).is_some_and(|open| open.file.is_some());
    let every = shim().full_every.load(Ordering::SeqCst);
    let full = is_recorded && every > 0 && shim().writes.fetch_sub(1, Ordering::SeqCst) == 1;
    let len = if full { len / 2 } else { len };
    // SAFETY: as in `close`; what is written of `data` is all of it or its first half.
    let code = unsafe { platform(file).xWrite.unwrap()(file, data, len, at) };
    if code == ffi::SQLITE_OK {
        // SAFETY: SQLite gives `len` bytes at `data`.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(len).unwrap()) };
        note(file, |file| Op::Write { file, at: usize::try_from(at).unwrap(), bytes: bytes.to_vec() });
    }
    if full {
        // Not after as many each time: a transaction with more writes than that would never get through.
        let refused = shim().refused.fetch_add(1, Ordering::SeqCst) + 1;
        shim().writes.store(every / 2 + refused * 7919 % (every * 4), Ordering::SeqCst);
        return ffi::SQLITE_FULL;
    }
    code
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as in `close`.
    let code = unsafe { platform(file).xTruncate.unwrap()(file, size) };
    if code == ffi::SQLITE_OK {
        note(file, |file| Op::Cut { file, len: usize::try_from(size).unwrap() });
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as in `close`.
    let code = unsafe { platform(file).xSync.unwrap()(file, flags) };
    if code == ffi::SQLITE_OK
        && let Some(number) = lock(&shim().open).get(&(file as usize)).and_then(|open| open.file)
        && let Some(recorder) = lock(&shim().recorder).as_mut()
    {
        let folder = recorder.unsynced.contains(&number);
        recorder.unsynced.retain(|&unsynced| unsynced != number);
        recorder.ops.push(Op::Sync { file: number, folder });
    }
    code
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    if op == ffi::SQLITE_FCNTL_PRAGMA && shim().weak.load(Ordering::SeqCst) {
        // SAFETY: for this call SQLite gives an array of texts: the answer, the name of the pragma, and its value or
        // null, which is a copy of its own; "1" fits over "FULL".
        unsafe {
            let texts = argument.cast::<*mut c_char>();
            let (name, value) = (*texts.add(1), *texts.add(2));
            if !value.is_null()
                && CStr::from_ptr(name).to_bytes() == b"synchronous"
                && CStr::from_ptr(value).to_bytes() == b"FULL"
            {
                *value = b'1'.cast_signed();
                *value.add(1) = 0;
            }
        }
    }
    // SAFETY: as in `close`.
    unsafe { platform(file).xFileControl.unwrap()(file, op, argument) }
}
