//! The manifests of `deploy/kubernetes`: they run programs that there are, each with a whole configuration and no more
//! secrets than it needs, and they leave them time to drain.

use crate::secrets;
use anyhow::Context as _;
use counterfoil_toolbox::config::{Config, LoadOptions, LogFormat, Needs, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

/// Where secrets are in a container.
const SECRETS: &str = "/run/secrets/counterfoil";

/// What a worker may need beside `worker.drain_timeout`: 3 s for handlers that are asked to leave, 5 s for those that are
/// dropped, and at a broker that does not answer 5 s each for reports, settlements, goodbyes and tokens, and 2 s more.
pub(crate) const AFTER_DRAINING: Duration = Duration::from_secs(40);

/// What a daemon needs beside its last transaction.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(10);

/// Programs that run for long, with what they are for.
const PROGRAMS: [(&str, &str, Role); 4] = [
    ("init.yaml", "counterfoil", Role::Cli(Needs::BOTH)),
    ("sync.yaml", "counterfoil-sync", Role::Daemon),
    ("worker.yaml", "counterfoil-demo-worker", Role::Worker),
    ("dashboard.yaml", "counterfoil-dashboard", Role::Dashboard),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(path)).context(path.to_owned())
}

/// The objects in a manifest.
fn objects(file: &str) -> anyhow::Result<Vec<Yaml>> {
    let text = text(&format!("deploy/kubernetes/{file}"))?;
    YamlLoader::load_from_str(&text).context(file.to_owned())
}

/// The only object of a kind in a manifest.
fn object(file: &str, kind: &str) -> anyhow::Result<Yaml> {
    let mut found = objects(file)?;
    found.retain(|object| object["kind"].as_str() == Some(kind));
    anyhow::ensure!(found.len() == 1, "{file}: {} × {kind}", found.len());
    Ok(found.remove(0))
}

/// The pod that a manifest describes.
fn pod(file: &str) -> anyhow::Result<Yaml> {
    let found = objects(file)?;
    let mut pods = found
        .iter()
        .map(|object| &object["spec"]["template"]["spec"]);
    let pod = pods.find(|pod| !pod.is_badvalue());
    pod.cloned().with_context(|| format!("{file} has no pod"))
}

/// The only container of a manifest.
fn container(file: &str) -> anyhow::Result<Yaml> {
    let pod = pod(file)?;
    match pod["containers"].as_vec().map(Vec::as_slice) {
        Some([container]) => Ok(container.clone()),
        other => anyhow::bail!("{file}: {other:?}"),
    }
}

fn string(value: &Yaml) -> anyhow::Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.with_context(|| format!("no text: {value:?}"))
}

/// The variables of a container: those of the settings that it asks for, and its own.
fn variables(file: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let (container, mut variables) = (container(file)?, BTreeMap::new());
    for source in container["envFrom"].as_vec().into_iter().flatten() {
        let settings = object("settings.yaml", "ConfigMap")?;
        anyhow::ensure!(source["configMapRef"]["name"] == settings["metadata"]["name"]);
        for (name, value) in settings["data"].as_hash().into_iter().flatten() {
            variables.insert(string(name)?, string(value)?);
        }
    }
    for variable in container["env"].as_vec().into_iter().flatten() {
        variables.insert(string(&variable["name"])?, string(&variable["value"])?);
    }
    Ok(variables)
}

/// The configuration that a program gets, with some secrets in its files.
fn configuration(file: &str, role: Role) -> anyhow::Result<Config> {
    let folder = secrets::in_files()?;
    let place = folder.path().display().to_string();
    let variables = variables(file)?.into_iter();
    let variables = variables.map(|(name, value)| (name, value.replace(SECRETS, &place)));
    Config::load(LoadOptions::new(role).env(variables)).context(file.to_owned())
}

#[test]
fn every_manifest_is_of_some_kind_has_a_name_and_no_namespace() -> anyhow::Result<()> {
    let kustomization = objects("kustomization.yaml")?.remove(0);
    let listed = kustomization["resources"].as_vec().context("resources")?;
    let listed: Vec<_> = listed.iter().filter_map(Yaml::as_str).collect();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("deploy/kubernetes"))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if file == "kustomization.yaml" {
            continue;
        }
        // It needs what a cluster may not have.
        assert_eq!(
            listed.contains(&file.as_str()),
            file != "scaler.yaml",
            "{file}"
        );
        for object in objects(&file)? {
            for field in [
                &object["apiVersion"],
                &object["kind"],
                &object["metadata"]["name"],
            ] {
                assert!(field.as_str().is_some(), "{file}: {object:?}");
            }
            assert!(object["metadata"]["namespace"].is_badvalue(), "{file}");
            count += usize::from(file != "scaler.yaml");
        }
    }
    let Ok(built) = Command::new("kubectl")
        .arg("kustomize")
        .arg(root().join("deploy/kubernetes"))
        .output()
    else {
        eprintln!("not tried: there is no kubectl on this machine");
        return Ok(());
    };
    let said = String::from_utf8_lossy(&built.stderr);
    anyhow::ensure!(built.status.success(), "{said}");
    let built = YamlLoader::load_from_str(&String::from_utf8(built.stdout)?)?;
    assert_eq!(built.len(), count);
    Ok(())
}

#[test]
fn what_is_run_asked_and_written_to_is_there() -> anyhow::Result<()> {
    let image = text("deploy/Dockerfile")?;
    for (file, program, _) in PROGRAMS {
        let (pod, container) = (pod(file)?, container(file)?);
        assert_eq!(container["command"][0].as_str(), Some(program), "{file}");
        assert!(
            image.contains(&format!("target/release/{program}")),
            "{program}"
        );
        assert_eq!(container["image"].as_str(), Some("counterfoil"), "{file}");
        let user = &pod["securityContext"]["runAsUser"];
        let user = user.as_i64().context("a user")?;
        assert!(image.contains(&format!("\nUSER {user}:{user}\n")), "{file}");
        let stack = variables(file)?
            .remove("RUST_MIN_STACK")
            .context("a stack")?;
        assert!(
            image.contains(&format!("\nENV RUST_MIN_STACK={stack}\n")),
            "{file}"
        );
        let mounts = container["volumeMounts"].as_vec().context("mounts")?;
        let volumes = pod["volumes"].as_vec().context("volumes")?;
        for mount in mounts {
            assert!(
                volumes.iter().any(|v| v["name"] == mount["name"]),
                "{file}: {mount:?}"
            );
        }
        let place = |mount: &&Yaml| mount["mountPath"].as_str() == Some(SECRETS);
        assert_eq!(mounts.iter().filter(place).count(), 1, "{file}");
    }
    Ok(())
}

#[test]
fn every_probe_asks_what_the_program_answers() -> anyhow::Result<()> {
    let daemon = configuration("sync.yaml", Role::Daemon)?.sync.health_bind;
    let worker = configuration("worker.yaml", Role::Worker)?
        .worker
        .metrics_bind;
    let (liveness, readiness) = ("livenessProbe", "readinessProbe");
    let dashboard = configuration("dashboard.yaml", Role::Dashboard)?;
    let dashboard = Some(dashboard.dashboard.bind);
    for (file, bound, answers, probes) in [
        (
            "sync.yaml",
            daemon,
            "crates/sync/src/health/http.rs",
            &[liveness, readiness][..],
        ),
        (
            "worker.yaml",
            worker,
            "crates/toolbox/src/telemetry/prometheus.rs",
            &[liveness],
        ),
        (
            "dashboard.yaml",
            dashboard,
            "crates/dashboard/src/routes.rs",
            &[liveness, readiness],
        ),
    ] {
        let (container, routes) = (container(file)?, text(answers)?);
        let port = container["ports"][0]["containerPort"].as_i64();
        assert_eq!(bound, port.map(|port| format!("0.0.0.0:{port}")), "{file}");
        for probe in probes {
            let asked = &container[*probe]["httpGet"];
            assert_eq!(asked["port"], container["ports"][0]["name"], "{probe}");
            let path = string(&asked["path"])?;
            assert!(routes.contains(&format!("\"{path}\"")), "{path}");
        }
    }
    // Nothing is routed to a worker.
    assert!(container("worker.yaml")?[readiness].is_badvalue());
    Ok(())
}

#[test]
fn each_program_gets_a_whole_configuration_and_only_the_secrets_that_it_needs() -> anyhow::Result<()>
{
    let mut secrets = Vec::new();
    for (file, _, role) in PROGRAMS {
        let config = configuration(file, role)?;
        assert_eq!(config.broker.urls.len(), 1, "{file}");
        assert_eq!(config.broker.services.len(), 3, "{file}");
        assert_eq!(config.telemetry.log_format, LogFormat::Json, "{file}");
        assert_eq!(config.database.is_some(), role != Role::Worker, "{file}");
        let volumes = pod(file)?["volumes"].clone();
        let names = volumes
            .into_iter()
            .map(|v| v["secret"]["secretName"].clone());
        secrets.extend(names.filter(|name| !name.is_badvalue()));
    }
    secrets.dedup();
    assert_eq!(
        secrets.len(),
        PROGRAMS.len(),
        "a secret of its own for each: {secrets:?}"
    );
    Ok(())
}

#[test]
fn whoever_drains_is_given_the_time_for_it() -> anyhow::Result<()> {
    let grace = |file| {
        let seconds = pod(file)?["terminationGracePeriodSeconds"].as_i64();
        let seconds = u64::try_from(seconds.context("a grace period")?)?;
        anyhow::Ok(Duration::from_secs(seconds))
    };
    let worker = configuration("worker.yaml", Role::Worker)?.worker;
    assert!(grace("worker.yaml")? >= worker.drain_timeout + AFTER_DRAINING);
    let daemon = configuration("sync.yaml", Role::Daemon)?;
    let transaction = daemon.require_database()?.statement_timeout + daemon.sync.batch_wait;
    assert!(grace("sync.yaml")? >= transaction + LAST_WORDS);
    Ok(())
}

#[test]
fn every_pod_is_shut_off() -> anyhow::Result<()> {
    for (file, _, _) in PROGRAMS {
        let (pod, container) = (pod(file)?, container(file)?);
        let (whole, own) = (&pod["securityContext"], &container["securityContext"]);
        assert_eq!(whole["runAsNonRoot"].as_bool(), Some(true), "{file}");
        assert_eq!(
            whole["seccompProfile"]["type"].as_str(),
            Some("RuntimeDefault"),
            "{file}"
        );
        assert_eq!(
            own["readOnlyRootFilesystem"].as_bool(),
            Some(true),
            "{file}"
        );
        assert_eq!(
            own["allowPrivilegeEscalation"].as_bool(),
            Some(false),
            "{file}"
        );
        assert_eq!(
            own["capabilities"]["drop"][0].as_str(),
            Some("ALL"),
            "{file}"
        );
        assert_eq!(
            pod["automountServiceAccountToken"].as_bool(),
            Some(false),
            "{file}"
        );
        // They would look like settings.
        assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false), "{file}");
        assert!(
            !container["resources"]["limits"]["memory"].is_badvalue(),
            "{file}"
        );
    }
    for file in ["sync.yaml", "worker.yaml"] {
        let (deployment, budget) = (
            object(file, "Deployment")?,
            object(file, "PodDisruptionBudget")?,
        );
        assert_eq!(
            deployment["spec"]["selector"], budget["spec"]["selector"],
            "{file}"
        );
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            deployment["spec"]["selector"]["matchLabels"], *labels,
            "{file}"
        );
    }
    Ok(())
}

#[test]
fn the_scaler_counts_the_queues_of_the_services_and_fills_a_worker_before_it_asks_for_another()
-> anyhow::Result<()> {
    let scaler = object("scaler.yaml", "ScaledObject")?;
    let deployment = object("worker.yaml", "Deployment")?;
    let target = &scaler["spec"]["scaleTargetRef"]["name"];
    assert_eq!(*target, deployment["metadata"]["name"]);
    // Who scales it says how many there are.
    assert!(deployment["spec"]["replicas"].is_badvalue());
    let trigger = &scaler["spec"]["triggers"][0];
    let access = object("scaler.yaml", "TriggerAuthentication")?;
    assert_eq!(
        trigger["authenticationRef"]["name"],
        access["metadata"]["name"]
    );
    let worker = configuration("worker.yaml", Role::Worker)?;
    let value: u16 = string(&trigger["metadata"]["value"])?.parse()?;
    assert!(value >= worker.worker.concurrency);
    let services: Vec<_> = worker.broker.services.iter().map(|s| s.as_str()).collect();
    let queues = format!(r"^({})(~(high|low))?(\.late)?$", services.join("|"));
    assert_eq!(
        trigger["metadata"]["queueName"].as_str(),
        Some(queues.as_str())
    );
    Ok(())
}
