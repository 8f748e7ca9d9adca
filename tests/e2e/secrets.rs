//! Secrets in files, as every set-up in production has them.

use tempfile::TempDir;

/// A folder with a file for each secret that a program may read, by the name that `deploy/` gives it.
pub(crate) fn in_files() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, secret) in [
        ("broker_url", "amqp://user:password@host:5672/%2f"),
        (
            "database_url",
            "postgresql://user:password@host/counterfoil",
        ),
        ("id_secret", "a secret of thirty-two letters or more"),
        (
            "password_hash",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
        ),
    ] {
        std::fs::write(folder.path().join(name), secret)?;
    }
    Ok(folder)
}
