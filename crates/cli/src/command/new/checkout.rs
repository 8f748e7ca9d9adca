//! Where a new worker's `Cargo.toml` takes counterfoil's crates from.

use super::template::NewFile;
use crate::failure::{Code, Failure};
use std::path::Path;

/// Counterfoil's crates in a checkout: name, and folder.
const CRATES: [(&str, &str); 3] = [
    ("counterfoil-toolbox", "crates/toolbox"),
    ("counterfoil-worker", "crates/worker"),
    ("counterfoil-testkit", "crates/testkit"),
];

const LOCK: &str = "Cargo.lock";

/// How they are named in the template: by the version of this program, which a test compares.
const BY_VERSION: &str = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");

/// Where counterfoil's crates come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The registry, in the version of this program.
    Published,
    /// A checkout, whose whole path this is.
    Checkout(String),
}

impl Source {
    /// The checkout at `path`.
    pub(super) fn checkout(path: &Path) -> Result<Self, Failure> {
        let refuse = |why: String| {
            Err(Failure::new(Code::Usage, anyhow::anyhow!(why)).remedy(
                "--counterfoil takes the folder that holds counterfoil's Cargo.toml, crates/ and worker-template/",
            ))
        };
        let Ok(whole) = path.canonicalize() else {
            return refuse(format!("{} does not exist", path.display()));
        };
        if let Some((_, missing)) = CRATES
            .into_iter()
            .find(|(_, folder)| !whole.join(folder).join("Cargo.toml").is_file())
        {
            let path = path.display();
            return refuse(format!(
                "{path} is no checkout of counterfoil: it has no {missing}"
            ));
        }
        match whole.into_os_string().into_string() {
            Ok(whole) => Ok(Self::Checkout(whole)),
            Err(_) => refuse(format!(
                "{} cannot be written into Cargo.toml: its whole path is no UTF-8",
                path.display()
            )),
        }
    }

    /// The checkout's own `Cargo.lock`, where it has one: with these versions of others' crates counterfoil was
    /// tested. Cargo strikes out what the worker does not need.
    pub(super) fn lock(&self) -> Option<NewFile> {
        let Self::Checkout(checkout) = self else {
            return None;
        };
        let text = std::fs::read_to_string(Path::new(checkout).join(LOCK)).ok()?;
        Some(NewFile {
            path: LOCK.to_owned(),
            text,
        })
    }

    /// A manifest in which counterfoil's crates come from here.
    pub(super) fn put_into(&self, manifest: &str) -> String {
        let Self::Checkout(checkout) = self else {
            return manifest.to_owned();
        };
        let mut lines = Vec::new();
        for line in manifest.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            let folder = CRATES.iter().find(|(known, _)| *known == name);
            lines.push(match folder {
                Some((_, folder)) => {
                    let path = toml_text(&format!("{checkout}/{folder}"));
                    line.replace(BY_VERSION, &format!("path = {path}"))
                }
                None => line.to_owned(),
            });
        }
        lines.join("\n") + "\n"
    }
}

/// A text as TOML has it: as JSON does, for all that a path may hold, but for one character.
fn toml_text(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_and_blanks_is_one_text() {
        let source = Source::Checkout("/my \"own\" back\\slash".to_owned());
        let manifest = format!("counterfoil-worker = {{ {BY_VERSION} }}\nserde = \"1\"\n");
        assert_eq!(
            source.put_into(&manifest),
            "counterfoil-worker = { path = \"/my \\\"own\\\" back\\\\slash/crates/worker\" }\nserde = \"1\"\n"
        );
        assert_eq!(Source::Published.put_into(&manifest), manifest);
    }
}
