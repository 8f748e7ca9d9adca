//! Who may depend on whom, and how long a file may be.

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const TOOLBOX: &str = "counterfoil-toolbox";
const WORKER: &str = "counterfoil-worker";
const STORE: &str = "counterfoil-store";
const SYNC: &str = "counterfoil-sync";
const OPERATIONS: &str = "counterfoil-operations";
const CELERY: &str = "counterfoil-celery";
const DASHBOARD: &str = "counterfoil-dashboard";
const DEMO: &str = "counterfoil-demo";
const TESTKIT: &str = "counterfoil-testkit";

/// The edges that ARCHITECTURE.md allows, development dependencies aside.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        (TOOLBOX, vec![]),
        (WORKER, vec![TOOLBOX]),
        (CELERY, vec![TOOLBOX, WORKER]),
        (STORE, vec![TOOLBOX]),
        (SYNC, vec![TOOLBOX, STORE]),
        (OPERATIONS, vec![TOOLBOX, STORE, SYNC]),
        (
            "counterfoil",
            vec![TOOLBOX, WORKER, STORE, SYNC, OPERATIONS, DASHBOARD, DEMO],
        ),
        (DASHBOARD, vec![TOOLBOX, STORE, OPERATIONS]),
        (TESTKIT, vec![TOOLBOX, WORKER, STORE]),
        (DEMO, vec![TOOLBOX, WORKER]),
        (
            "counterfoil-bench",
            vec![TOOLBOX, WORKER, STORE, SYNC, DEMO],
        ),
        ("abacus-worker", vec![TOOLBOX, WORKER]),
        ("abacus-tasks", vec![TOOLBOX]),
        ("counterfoil-tests", vec![]),
    ])
}

/// Crates that only these packages may name, so that a change of version stays a private matter.
fn owners() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("lapin", vec![TOOLBOX]),
        ("deadpool", vec![TOOLBOX]),
        ("metrics-exporter-prometheus", vec![TOOLBOX]),
        ("opentelemetry", vec![TOOLBOX]),
        ("opentelemetry_sdk", vec![TOOLBOX]),
        ("tracing-opentelemetry", vec![TOOLBOX]),
        ("sqlx", vec![STORE, TESTKIT]),
        (
            "anyhow",
            vec![
                SYNC,
                DASHBOARD,
                "counterfoil",
                TESTKIT,
                DEMO,
                "counterfoil-bench",
            ],
        ),
    ])
}

fn packages() -> anyhow::Result<Vec<Package>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    Ok(metadata.packages)
}

fn normal_dependencies(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|d| d.kind == DependencyKind::Normal)
        .map(|d| d.name.as_str())
}

#[test]
fn crates_depend_on_each_other_only_as_the_architecture_allows() -> anyhow::Result<()> {
    let allowed = allowed();
    for package in packages()? {
        let name = package.name.as_str();
        let may = allowed
            .get(name)
            .with_context(|| format!("{name} has no row in the table of crates"))?;
        for dependency in normal_dependencies(&package).filter(|d| d.starts_with("counterfoil")) {
            anyhow::ensure!(
                may.contains(&dependency),
                "{name} must not depend on {dependency}"
            );
        }
    }
    Ok(())
}

#[test]
fn broker_and_database_libraries_have_one_owner_each() -> anyhow::Result<()> {
    for package in packages()? {
        for dependency in normal_dependencies(&package) {
            if let Some(owners) = owners().get(dependency) {
                let name = package.name.as_str();
                anyhow::ensure!(owners.contains(&name), "{name} must not name {dependency}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_store_is_built_without_a_broker_library() -> anyhow::Result<()> {
    let packages = packages()?;
    let store = packages
        .iter()
        .find(|p| p.name.as_str() == STORE)
        .context("the store")?;
    let toolbox = store
        .dependencies
        .iter()
        .find(|d| d.name == TOOLBOX && d.kind == DependencyKind::Normal);
    let toolbox = toolbox.context("the store uses the toolbox")?;
    anyhow::ensure!(
        !toolbox.features.contains(&"amqp".to_owned()) && !toolbox.uses_default_features
    );
    Ok(())
}

/// Whoever exports no traces does not pay for it.
#[test]
fn nothing_is_built_with_opentelemetry_unless_its_feature_is_asked_for() -> anyhow::Result<()> {
    let tree = |features: &[&str]| {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--workspace", "--prefix=none", "--offline"])
            .args(features)
            .output()?;
        let said = String::from_utf8_lossy(&tree.stderr);
        anyhow::ensure!(tree.status.success(), "{said}");
        Ok(String::from_utf8(tree.stdout)?.contains("\nopentelemetry"))
    };
    assert!(!tree(&[])?);
    assert!(tree(&["--features=abacus-worker/otlp"])?);
    Ok(())
}

#[test]
fn no_source_file_is_so_long_that_a_newcomer_gets_lost_in_it() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace")?;
    let mut lengths = Vec::new();
    for folder in ["crates", "tests", "worker-template"] {
        collect_lengths(&root.join(folder), &mut lengths)?;
    }
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > 400).collect();
    anyhow::ensure!(long.is_empty(), "over 400 lines: {long:#?}");
    lengths.sort();
    let (median, _) = &lengths[lengths.len() / 2];
    anyhow::ensure!(*median <= 180, "the median file has {median} lines");
    Ok(())
}

fn collect_lengths(folder: &Path, lengths: &mut Vec<(usize, String)>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect_lengths(&path, lengths)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            lengths.push((
                std::fs::read_to_string(&path)?.lines().count(),
                path.display().to_string(),
            ));
        }
    }
    Ok(())
}
