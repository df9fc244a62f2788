//! What can be tried with directories that were granted. A try is a line of words; tries are separated by `;`, and
//! what came of each is told in the same order.

use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

unsafe extern "C" {
    fn symlink(to: *const c_char, at: *const c_char) -> c_int;
    fn link(from: *const c_char, at: *const c_char) -> c_int;
}

fn linked(how: unsafe extern "C" fn(*const c_char, *const c_char) -> c_int, a: &str, b: &str) -> io::Result<String> {
    let (a, b) = (CString::new(a)?, CString::new(b)?);
    // SAFETY: both are texts that end in a zero and outlive the call.
    match unsafe { how(a.as_ptr(), b.as_ptr()) } {
        0 => Ok("linked".to_string()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn write(file: &mut File, bytes: usize) -> io::Result<String> {
    let piece = [b'x'; 4096];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(piece.len());
        file.write_all(&piece[..now])?;
        left -= now;
    }
    Ok(format!("{bytes} written"))
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}

/// Opens one thing again and again, and keeps all that are open.
fn hoard<T>(most: usize, open: impl Fn() -> io::Result<T>) -> String {
    let mut held = Vec::new();
    let ended = loop {
        if held.len() >= most {
            break "enough".to_string();
        }
        match open() {
            Ok(one) => held.push(one),
            Err(error) => break error.to_string(),
        }
    };
    format!("{} held, then {ended}", held.len())
}

fn attempt(words: &[&str]) -> io::Result<String> {
    Ok(match *words {
        ["read", path] => fs::read_to_string(path)?,
        ["size", path] => fs::metadata(path)?.len().to_string(),
        ["what", path] => match fs::symlink_metadata(path)?.file_type() {
            kind if kind.is_dir() => "directory".to_string(),
            kind if kind.is_file() => "file".to_string(),
            kind if kind.is_symlink() => "link".to_string(),
            _ => "something else".to_string(),
        },
        // The same file again and again, from its beginning.
        ["write", path, bytes] => write(&mut File::create(path)?, number(bytes))?,
        ["append", path, bytes] => write(&mut OpenOptions::new().append(true).create(true).open(path)?, number(bytes))?,
        ["write-far", path, at, bytes] => {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.seek(SeekFrom::Start(at.parse().expect("a place")))?;
            write(&mut file, number(bytes))?
        }
        ["grow", path, bytes] => {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.set_len(bytes.parse().expect("a size"))?;
            format!("{bytes} long")
        }
        ["open", path] => File::open(path).map(|_| "open".to_string())?,
        ["open-to-write", path] => OpenOptions::new().write(true).open(path).map(|_| "open".to_string())?,
        ["make", path] => File::create_new(path).map(|_| "made".to_string())?,
        ["make-many", folder, many] => {
            for n in 0..number(many) {
                File::create_new(format!("{folder}/{n}")).map_err(|error| io::Error::other(format!("{n}: {error}")))?;
            }
            "all made".to_string()
        }
        ["make-folder", path] => fs::create_dir(path).map(|()| "made".to_string())?,
        ["remove", path] => fs::remove_file(path).map(|()| "removed".to_string())?,
        ["move", from, to] => fs::rename(from, to).map(|()| "moved".to_string())?,
        ["symlink", to, at] => linked(symlink, to, at)?,
        ["hard-link", from, at] => linked(link, from, at)?,
        ["touch", path] => {
            File::open(path)?.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(5))?;
            "touched".to_string()
        }
        ["count", folder] => {
            let mut count = 0;
            for entry in fs::read_dir(folder)? {
                entry?;
                count += 1;
            }
            count.to_string()
        }
        ["list", folder] => {
            let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names = names.collect::<io::Result<Vec<_>>>()?;
            names.sort();
            names.join(" ")
        }
        ["hoard-files", path, most] => hoard(number(most), || File::open(path)),
        ["hoard-lists", folder, most] => hoard(number(most), || fs::read_dir(folder)),
        // What one path says while somebody else changes what it is.
        ["read-again", path, times] => {
            let (mut inside, mut refused) = (0, 0);
            for _ in 0..number(times) {
                let mut text = String::new();
                match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
                    Ok(_) if text == "inside" => inside += 1,
                    Ok(_) => return Ok(format!("escaped: {text}")),
                    Err(_) => refused += 1,
                }
            }
            format!("inside {} refused {}", inside > 0, refused > 0)
        }
        _ => panic!("nobody knows how to {words:?}"),
    })
}

/// What came of each try, if these are tries.
pub(crate) fn tried(script: &str) -> Option<String> {
    let tries = script.strip_prefix("try ")?;
    let told = tries.split(';').map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        attempt(&words).unwrap_or_else(|error| format!("no: {error}"))
    });
    Some(told.collect::<Vec<_>>().join("; "))
}
