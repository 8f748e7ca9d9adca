//! Where the servers' programs are on this machine.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The programs of a RabbitMQ installation.
#[derive(Clone, Debug)]
pub(super) struct RabbitPrograms {
    pub(super) server: PathBuf,
    pub(super) control: PathBuf,
    pub(super) port_mapper: PathBuf,
}

/// The programs of a PostgreSQL installation.
#[derive(Clone, Debug)]
pub(super) struct PostgresPrograms {
    pub(super) initdb: PathBuf,
    pub(super) server: PathBuf,
}

impl RabbitPrograms {
    /// The installation that `COUNTERFOIL_TEST_RABBITMQ_SERVER` names, else Debian's, else the one
    /// on the `PATH`.
    pub(super) fn find() -> anyhow::Result<Self> {
        let server = env::var_os("COUNTERFOIL_TEST_RABBITMQ_SERVER")
            .map(PathBuf::from)
            // Not Debian's /usr/sbin/rabbitmq-server, which changes to another user first.
            .or_else(|| existing("/usr/lib/rabbitmq/bin/rabbitmq-server"))
            .or_else(|| on_path("rabbitmq-server"))
            .context("rabbitmq-server is not installed (Debian: apt install rabbitmq-server)")?;
        let port_mapper = on_path("epmd")
            .or_else(|| existing("/usr/lib/erlang/bin/epmd"))
            .context("epmd, a part of Erlang, is not on the PATH")?;
        Ok(Self {
            control: server.with_file_name("rabbitmqctl"),
            server,
            port_mapper,
        })
    }
}

impl PostgresPrograms {
    /// The folder that `COUNTERFOIL_TEST_POSTGRES_BIN` names, else Debian's newest, else the `PATH`.
    pub(super) fn find() -> anyhow::Result<Self> {
        let folder = env::var_os("COUNTERFOIL_TEST_POSTGRES_BIN")
            .map(PathBuf::from)
            .or_else(newest_of_debian)
            .or_else(|| on_path("initdb").and_then(|file| file.parent().map(Path::to_owned)))
            .context("PostgreSQL's server is not installed (Debian: apt install postgresql)")?;
        Ok(Self {
            initdb: folder.join("initdb"),
            server: folder.join("postgres"),
        })
    }
}

fn newest_of_debian() -> Option<PathBuf> {
    Path::new("/usr/lib/postgresql")
        .read_dir()
        .ok()?
        .filter_map(|entry| {
            let version: u32 = entry.as_ref().ok()?.file_name().to_str()?.parse().ok()?;
            let folder = entry.ok()?.path().join("bin");
            folder.join("initdb").exists().then_some((version, folder))
        })
        .max()
        .map(|(_, folder)| folder)
}

fn existing(path: &str) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|path| path.exists())
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
