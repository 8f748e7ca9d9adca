//! A folder with files: the whole of it, or nothing.

use super::template::NewFile;
use crate::failure::{Code, Failure};
use anyhow::Context as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nothing,
    EmptyFolder,
}

/// Writes `files` into the folder `path`. They are written beside it first, and then moved there at once: whatever
/// fails, `path` is as it was.
pub(super) fn write(path: &Path, files: &[NewFile]) -> Result<(), Failure> {
    let place = look_at(path)?;
    let written = place_files(path, place, files);
    written.map_err(|error| {
        let what = format!("could not write {}", path.display());
        Failure::new(Code::Failed, error.context(what))
            .remedy("let this user write there, or choose another path")
    })
}

fn look_at(path: &Path) -> Result<Place, Failure> {
    let refuse = |why: &str| {
        let path = path.display();
        Err(Failure::usage(format_args!("{path} {why}"))
            .remedy("choose a path that does not exist, or an empty folder"))
    };
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(Place::EmptyFolder),
            Some(_) => refuse("is not empty"),
        },
        // A link to nowhere is something, too.
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            Ok(Place::Nothing)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            refuse("cannot be looked into")
        }
        Err(_) => refuse("is no folder"),
    }
}

fn place_files(path: &Path, place: Place, files: &[NewFile]) -> anyhow::Result<()> {
    // On the same file system as where they belong, or they could not be moved.
    let beside = match place {
        Place::EmptyFolder => path.to_owned(),
        Place::Nothing => parent_of(path),
    };
    fs::create_dir_all(&beside)?;
    let staging = tempfile::Builder::new()
        .prefix(".counterfoil-new-")
        .tempdir_in(&beside)?;
    // One within, since the folder itself is for this user's eyes only.
    let whole = staging.path().join("worker");
    fs::create_dir(&whole)?;
    for file in files {
        let target = whole.join(&file.path);
        fs::create_dir_all(parent_of(&target))?;
        fs::write(&target, &file.text).with_context(|| file.path.clone())?;
    }
    match place {
        Place::Nothing => fs::rename(&whole, path)?,
        Place::EmptyFolder => move_entries(&whole, path)?,
    }
    Ok(())
}

/// Moves all that is in one folder into another, or nothing.
fn move_entries(from: &Path, to: &Path) -> io::Result<()> {
    let mut moved: Vec<(PathBuf, PathBuf)> = Vec::new();
    let all = fs::read_dir(from)?.try_for_each(|entry| {
        let entry = entry?;
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target)?;
        moved.push((target, entry.path()));
        Ok(())
    });
    if all.is_err() {
        for (target, source) in moved {
            // It goes with the folder that it came from. What cannot be moved back stays, and is told by the error.
            let _ = fs::rename(target, source);
        }
    }
    all
}

fn parent_of(path: &Path) -> PathBuf {
    let parent = path.parent().unwrap_or(path);
    match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent.to_owned(),
    }
}
