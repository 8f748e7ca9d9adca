use super::*;
use counterfoil_toolbox::ServiceName;
use std::collections::BTreeSet;
use std::path::Path;

/// What is there for counterfoil's sake, or becomes part of another file.
const NOT_COPIED: [&str; 4] = [
    "workspace.toml",
    "cargo-generate.toml",
    "rename.rhai",
    "rename",
];

fn new_files(service: &str) -> Vec<NewFile> {
    let service = ServiceName::new(service).expect("valid");
    files(&NewNames::of(&service), &Source::Published)
}

fn collect(folder: &Path, from: &Path, found: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, from, found)?;
            }
        } else if let Ok(inside) = path.strip_prefix(from) {
            found.insert(inside.display().to_string());
        }
    }
    Ok(())
}

#[test]
fn every_file_of_the_template_is_in_this_program() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../worker-template");
    let mut there = BTreeSet::new();
    collect(&template, &template, &mut there).expect("the template is in this repository");
    for own in NOT_COPIED {
        there.remove(own);
    }
    let here = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(there, here);
}

#[test]
fn no_name_of_the_template_is_left_in_a_worker_for_another_service() {
    for file in new_files("Export_v2") {
        let both = format!("{}\n{}", file.path, file.text).to_lowercase();
        let of_the_template =
            |line: &&str| line.contains("abacus") || line.contains("worker-template");
        let left: Vec<_> = both.lines().filter(of_the_template).collect();
        assert!(left.is_empty(), "{}: {left:#?}", file.path);
    }
}

#[test]
fn program_unit_and_variables_are_called_after_the_service() {
    let files = new_files("Export_v2");
    let text = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str()).unwrap_or_default()
    };
    assert!(text("Cargo.toml").starts_with("[package]\nname = \"export-v2-worker\"\n"));
    let unit = text("deploy/export-v2-worker.service");
    assert!(unit.contains("\nExecStart=/usr/local/bin/export-v2-worker\n"));
    assert!(unit.contains("\nEnvironment=EXPORT_V2_DOCUMENTS="));
    assert!(text("counterfoil.toml").contains("services = [\"Export_v2\"]"));
    assert!(text("tasks/src/lib.rs").contains("\"Export_v2.count_words\""));
}

/// What the new workspace says, this one has to say too: it is what the template is built and tried with.
#[test]
fn dependencies_of_a_new_worker_are_those_that_the_template_is_tried_with() {
    let ours = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    let version = env!("CARGO_PKG_VERSION");
    let line_of = |name: &str| {
        let is_it = |line: &&str| line.split(' ').next() == Some(name);
        ours.lines().find(is_it).expect(name)
    };
    let version_in = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let (_, dependencies) = WORKSPACE
        .split_once("[workspace.dependencies]\n")
        .expect("it has some");
    let (dependencies, _) = dependencies.split_once("\n[").expect("lints follow");
    let named = dependencies.lines().filter(|line| line.contains(" = "));
    let mut count = 0;
    for line in named {
        let name = line.split(' ').next().expect("a name");
        let wanted = match name.starts_with("counterfoil-") {
            true => Some(version.to_owned()),
            false => version_in(line_of(name)),
        };
        assert_eq!(version_in(line), wanted, "{name}");
        count += 1;
    }
    assert_eq!(count, 10);
    for setting in ["edition = ", "rust-version = ", "resolver = "] {
        let said = |text: &str| {
            let line = text.lines().find(|line| line.starts_with(setting));
            line.map(str::to_owned)
        };
        assert_eq!(said(WORKSPACE), said(ours));
        assert!(said(ours).is_some(), "{setting}");
    }
}

/// Copies the template, and renames it by its own script, which cargo-generate runs.
fn renamed_by_script(service: &str) -> anyhow::Result<tempfile::TempDir> {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../worker-template");
    let copy = tempfile::tempdir()?;
    let mut there = BTreeSet::new();
    collect(&template, &template, &mut there)?;
    for file in there {
        let target = copy.path().join(&file);
        std::fs::create_dir_all(target.parent().unwrap_or(copy.path()))?;
        std::fs::copy(template.join(&file), target)?;
    }
    let mut script = std::process::Command::new("sh");
    let script = script.args(["rename", service]).current_dir(copy.path());
    let ended = script.output()?;
    anyhow::ensure!(ended.status.success(), "{ended:?}");
    Ok(copy)
}

#[test]
fn the_templates_own_script_makes_the_same_of_it() -> anyhow::Result<()> {
    for service in [
        "image",
        "Export_v2",
        "3d",
        "-",
        "__x--y_",
        "counterfoil",
        "abacus-x",
        "abacus",
    ] {
        let copy = renamed_by_script(service)?;
        let mut there = BTreeSet::new();
        collect(copy.path(), copy.path(), &mut there)?;
        let files = new_files(service);
        let here = files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(there, here, "{service}");
        for file in files {
            let text = std::fs::read_to_string(copy.path().join(&file.path))?;
            assert_eq!(text, file.text, "{service}: {}", file.path);
        }
    }
    Ok(())
}

#[test]
fn the_templates_own_script_refuses_what_is_no_service() {
    for service in ["a.b", "platform", "", "x y", "$(touch z)"] {
        assert!(renamed_by_script(service).is_err(), "{service}");
    }
}
