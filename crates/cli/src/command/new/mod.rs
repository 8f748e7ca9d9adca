//! `new`: a worker of one's own, from a copy of the template that is part of this program.
//!
//! `names` is what is replaced by what, `template` the files, `checkout` where counterfoil's crates come from,
//! `folder` how they get to where they belong.

mod checkout;
mod folder;
mod names;
mod template;

use crate::failure::Failure;
use crate::output::Output;
use checkout::Source;
use counterfoil_toolbox::ServiceName;
use names::NewNames;
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;

/// The tasks to type next send this one.
const SAMPLE: &str = r#"'{"document": "welcome.txt"}'"#;

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// Folder to write it into: one that does not exist yet, or is empty
    path: PathBuf,
    /// Service whose tasks it runs: the first part of their names
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Take counterfoil's crates from this checkout instead of their published versions
    #[arg(long, value_name = "CHECKOUT")]
    counterfoil: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Written<'a> {
    path: String,
    service: &'a str,
    worker: &'a str,
    tasks: &'a str,
    files: usize,
}

pub(crate) fn run(args: &NewArgs, output: &mut Output) -> Result<(), Failure> {
    let names = NewNames::of(&service(&args.service)?);
    let source = match &args.counterfoil {
        Some(checkout) => Source::checkout(checkout)?,
        None => Source::Published,
    };
    let mut files = template::files(&names, &source);
    files.extend(source.lock());
    folder::write(&args.path, &files)?;
    let written = Written {
        path: args.path.display().to_string(),
        service: names.service(),
        worker: names.worker(),
        tasks: names.tasks(),
        files: files.len(),
    };
    if output.is_json() {
        return output.document(&written);
    }
    report(&written, args, output)
}

fn report(written: &Written<'_>, args: &NewArgs, output: &mut Output) -> Result<(), Failure> {
    let Written {
        service,
        worker,
        tasks,
        files,
        ..
    } = written;
    output.line(format_args!(
        "{}: {files} files: {worker} runs the tasks of the service {service}, which are in {tasks}",
        args.path.display()
    ))?;
    output.line("next:")?;
    output.line(format_args!(
        "  cd {} && cargo test --workspace",
        quoted(args.path.display())
    ))?;
    // Not `cargo run`, which would build all once more, without what only tests need.
    output.line(format_args!(
        "  target/debug/{worker}    # the tests have built it; RabbitMQ has to be at 127.0.0.1:5672"
    ))?;
    output.line("from another terminal, in the same folder:")?;
    output.line("  counterfoil init && counterfoil-sync    # a database, and from now on every task has a row in it")?;
    output.line("from a third:")?;
    output.line(format_args!(
        "  counterfoil send {service}.count_words {SAMPLE} --wait"
    ))?;
    output.flush()?;
    if args.counterfoil.is_none() {
        eprintln!(
            "its Cargo.toml names counterfoil's crates by version {}; where cargo finds none of that, write it anew with \
             --counterfoil CHECKOUT",
            env!("CARGO_PKG_VERSION")
        );
    }
    Ok(())
}

/// The service, or why it is none and what would be one.
fn service(text: &str) -> Result<ServiceName, Failure> {
    ServiceName::new(text).map_err(|error| {
        let refused = Failure::from(error);
        match names::similar(text) {
            Some(similar) => refused.remedy(format!("for example: --service {similar}")),
            None => refused.remedy("for example: --service image"),
        }
    })
}

/// As one word of a shell's command.
fn quoted(text: impl Display) -> String {
    let text = text.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text;
    }
    let escaped = text.replace('\'', r"'\''");
    // What begins with a dash would be an option.
    let here = if text.starts_with('-') { "./" } else { "" };
    format!("'{here}{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_command_whatever_is_in_it() {
        assert_eq!(quoted("../image-worker"), "../image-worker");
        assert_eq!(quoted("my workers"), "'my workers'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("-x"), "'./-x'");
    }

    #[test]
    fn a_name_that_is_no_service_gets_one_that_is() {
        let advice = |text| {
            let refused = service(text).expect_err(text);
            refused.advice().map(str::to_owned)
        };
        let example = |name: &str| Some(format!("for example: --service {name}"));
        assert_eq!(advice("image.resize"), example("image-resize"));
        assert_eq!(advice("Größe"), example("Gr-e"));
        assert_eq!(advice("platform"), example("image"));
        assert_eq!(advice(""), example("image"));
    }
}
