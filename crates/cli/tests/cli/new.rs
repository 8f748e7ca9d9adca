//! `counterfoil new`: a folder with a whole worker, or nothing.

use crate::program::Program;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// Everything in a folder, hidden or not.
fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("readable").file_name();
        name.to_string_lossy().into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_new_worker_is_written_and_the_next_commands_are_told() {
    let program = Program::new();
    let args = ["new", "deep/my worker", "--service", "image"];
    let ran = program.run(&args).await.ends_with(0);
    let lines: Vec<_> = ran.stdout.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 8, "{ran:#?}");
    assert!(lines[0].contains("image-worker runs the tasks of the service image"));
    assert_eq!(lines[2], "cd 'deep/my worker' && cargo test --workspace");
    assert!(lines[3].starts_with("target/debug/image-worker "));
    assert_eq!(lines[4], "from another terminal, in the same folder:");
    assert!(lines[5].starts_with("counterfoil init && counterfoil-sync"));
    assert_eq!(lines[6], "from a third:");
    assert!(lines[7].starts_with("counterfoil send image.count_words '{"));
    let folder = program.folder().join("deep/my worker");
    let written = entries(&folder);
    for name in ["Cargo.toml", "README.md", ".github", "src", "tasks"] {
        assert!(written.iter().any(|written| written == name), "{written:?}");
    }
    assert!(folder.join("deploy/image-worker.service").is_file());
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("written");
    let version = env!("CARGO_PKG_VERSION");
    for name in ["toolbox", "worker", "testkit"] {
        let by_version = format!("\ncounterfoil-{name} = {{ version = \"{version}\"");
        assert!(manifest.contains(&by_version), "{manifest}");
    }
    assert_eq!(entries(&program.folder().join("deep")), ["my worker"]);
}

#[tokio::test]
async fn an_empty_folder_is_filled_also_when_it_is_the_working_directory() {
    let program = Program::new();
    let args = ["new", ".", "--service", "Export_v2", "--json"];
    let written = program.run(&args).await.ends_with(0).document();
    assert_eq!(written["service"], "Export_v2");
    assert_eq!(written["worker"], "export-v2-worker");
    let count = written["files"].as_u64();
    assert!(count.is_some_and(|count| count > 10), "{written}");
    assert!(program.folder().join("src/main.rs").is_file());
    let is_left = |name: &String| name.starts_with(".counterfoil");
    assert!(!entries(program.folder()).iter().any(is_left));
}

#[tokio::test]
async fn a_checkout_is_named_by_its_whole_path() {
    let program = Program::new();
    let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let checkout = Path::new(checkout).canonicalize().expect("it is there");
    symlink(&checkout, program.folder().join("checkout")).expect("a link");
    let args = [
        "new",
        "x",
        "--service",
        "image",
        "--counterfoil",
        "checkout",
    ];
    program.run(&args).await.ends_with(0);
    let manifest = program.folder().join("x/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("written");
    let path = checkout.join("crates/worker").display().to_string();
    let wanted = format!("\ncounterfoil-worker = {{ path = \"{path}\" }}\n");
    assert!(manifest.contains(&wanted), "{manifest}");
    assert!(!manifest.contains("{ version = \"0.1.0\""), "{manifest}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_remedy_and_nothing_is_written() {
    let program = Program::new();
    program.file("file", "mine");
    std::fs::create_dir(program.folder().join("full")).expect("a folder");
    program.file("full/mine.txt", "mine");
    symlink("nowhere", program.folder().join("link")).expect("a link");
    let before = entries(program.folder());
    let elsewhere = "choose a path that does not exist, or an empty folder";
    for (args, why, remedy) in [
        (
            &["full", "--service", "image"][..],
            "full is not empty",
            elsewhere,
        ),
        (
            &["file", "--service", "image"],
            "file is no folder",
            elsewhere,
        ),
        (
            &["link", "--service", "image"],
            "link is no folder",
            elsewhere,
        ),
        (
            &["file/x", "--service", "image"],
            "file/x is no folder",
            elsewhere,
        ),
        (
            &["x", "--service", "image.resize"],
            "service name \"image.resize\" is not valid: only ASCII letters",
            "--service image-resize",
        ),
        (
            &["x", "--service", "platform"],
            "reserved",
            "--service image",
        ),
        (
            &["x", "--service", "image", "--counterfoil", "nowhere"],
            "nowhere does not exist",
            "the folder that holds counterfoil's Cargo.toml",
        ),
        (
            &["x", "--service", "image", "--counterfoil", "full"],
            "full is no checkout of counterfoil: it has no crates/toolbox",
            "the folder that holds counterfoil's Cargo.toml",
        ),
        (&["x"], "--service <NAME>", "Usage"),
    ] {
        let ran = program.run(&[&["new"], args].concat()).await.ends_with(2);
        assert!(ran.stderr.contains(why), "{args:?}: {ran:#?}");
        assert!(ran.stderr.contains(remedy), "{args:?}: {ran:#?}");
        assert_eq!(entries(program.folder()), before, "{args:?}");
    }
    assert_eq!(entries(&program.folder().join("full")), ["mine.txt"]);
}

/// Runs it where no file may be longer than a kilobyte. Whether that ends it or fails it is `what`'s choice.
async fn run_out_of_space(program: &Program, path: &str, what: &str) -> std::process::Output {
    let script = format!("{what} ulimit -f 2; exec \"$@\"");
    let binary = env!("CARGO_BIN_EXE_counterfoil");
    let shell = tokio::process::Command::new("sh")
        .args([
            "-c",
            &script,
            "sh",
            binary,
            "new",
            path,
            "--service",
            "image",
        ])
        .env("RUST_MIN_STACK", "268435456")
        .current_dir(program.folder())
        .output();
    shell.await.expect("there is a shell")
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_nothing_behind_and_names_the_file() {
    let program = Program::new();
    std::fs::create_dir(program.folder().join("empty")).expect("a folder");
    for path in ["x", "empty"] {
        let failed = run_out_of_space(&program, path, "trap '' XFSZ;").await;
        let said = String::from_utf8_lossy(&failed.stderr);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("could not write {path}: README.md")),
            "{said}"
        );
        assert!(said.contains("remedy: "), "{said}");
        assert_eq!(entries(program.folder()), ["empty"]);
        assert_eq!(entries(&program.folder().join("empty")), [""; 0]);
    }
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_leaves_no_half_of_a_worker_at_the_path() {
    let program = Program::new();
    let killed = run_out_of_space(&program, "x", "").await;
    assert!(killed.status.signal().is_some(), "{killed:?}");
    assert!(!program.folder().join("x").exists());
}
