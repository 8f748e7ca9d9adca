//! The account that PostgreSQL runs under where the tests run as root, which it refuses.

use std::fs;

use anyhow::Context;

/// Debian's package makes the first; the second is everywhere.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// A user of this machine, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account for a database server that must not be root.
    pub(super) fn for_postgres() -> anyhow::Result<Self> {
        let users = fs::read_to_string("/etc/passwd").context("could not read /etc/passwd")?;
        NAMES
            .iter()
            .find_map(|name| Self::in_passwd(&users, name))
            .with_context(|| format!("none of the accounts {} exists", NAMES.join(", ")))
    }

    fn in_passwd(users: &str, name: &str) -> Option<Self> {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some(Self {
            uid: ids.next()?.parse().ok()?,
            gid: ids.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let users = "postgresql:x:1:2::/:/bin/sh\npostgres:x:106:113:,,,:/var/lib:/bin/bash\n";
        let found = Account::in_passwd(users, "postgres");
        assert_eq!(found, Some(Account { uid: 106, gid: 113 }));
        assert_eq!(Account::in_passwd(users, "nobody"), None);
    }
}
