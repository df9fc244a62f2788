//! Files, in the directory `/dir` that is granted and beside it.

use crate::bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

pub(crate) fn touch(bytes: &mut Bytes<'_>) {
    let path = path(bytes);
    match bytes.below(14) {
        0 => drop(fs::read(&path).map(|content| content.len())),
        1 => drop(fs::write(&path, bytes.part())),
        2 => drop(fs::create_dir(&path)),
        3 => drop(fs::remove_file(&path)),
        4 => drop(fs::remove_dir(&path)),
        5 => drop(fs::rename(&path, self::path(bytes))),
        6 => drop(fs::hard_link(&path, self::path(bytes))),
        7 => drop(fs::read_dir(&path).map(|entries| entries.take(1_000).filter_map(Result::ok).count())),
        8 => drop(fs::metadata(&path)),
        9 => drop(fs::symlink_metadata(&path)),
        10 => drop(fs::read_link(&path)),
        11 => drop(OpenOptions::new().append(true).create(true).open(&path).map(|mut file| file.write(&bytes.part()))),
        12 => {
            let many: Vec<File> = (0..300).map_while(|_| File::open(&path).ok()).collect();
            drop(many);
        }
        _ => {
            drop(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map(|mut file| {
                drop(file.set_len(u64::from(bytes.small())));
                drop(file.seek(SeekFrom::Start(u64::from(bytes.small()))));
                drop(file.read(&mut [0; 100]));
                drop(file.write(b"x"));
                drop(file.sync_all());
            }))
        }
    }
}

fn path(bytes: &mut Bytes<'_>) -> String {
    match bytes.below(4) {
        0 => bytes.text(),
        1 => "/dir/a.txt".to_string(),
        _ => format!("/dir/{}", bytes.text()),
    }
}
