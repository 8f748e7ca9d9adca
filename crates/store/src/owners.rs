//! Who was asked to run a task.

/// The services that a tracking copy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    /// The one that the task's name begins with.
    pub by_name: Box<str>,
    /// The one whose queue its key leads to.
    pub by_key: Box<str>,
}

impl Owners {
    /// Whether `service` is one of them.
    #[must_use]
    pub fn include(&self, service: &str) -> bool {
        *self.by_name == *service || *self.by_key == *service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_that_of_its_name_and_of_its_key_and_nobody_elses() {
        let owners = Owners {
            by_name: "proj".into(),
            by_key: "demo".into(),
        };
        assert!(owners.include("proj") && owners.include("demo"));
        assert!(!owners.include("export") && !owners.include(""));
    }
}
