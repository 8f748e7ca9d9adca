//! The names of the template, and those of the new worker instead.

use counterfoil_toolbox::ServiceName;

/// The template's service. In no word of its texts, so that it can be replaced wherever it stands.
const SERVICE: &str = "abacus";

/// How packages, programs and variables begin where the service cannot be their beginning.
const OTHERWISE: &str = "service";

/// What a new worker's things are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewNames {
    /// From what stands in the template, to what stands there instead. Where several fit, the first counts.
    replacements: [(&'static str, String); 6],
}

/// Which replacement is what.
const WORKER: usize = 0;
const TASKS: usize = 1;
const NAME: usize = 5;

impl NewNames {
    /// Those of a worker for `service`.
    pub(super) fn of(service: &ServiceName) -> Self {
        let stem = stem(service.as_str());
        let identifier = stem.replace('-', "_");
        let replacements = [
            ("abacus-worker", format!("{stem}-worker")),
            ("abacus-tasks", format!("{stem}-tasks")),
            ("abacus_worker", format!("{identifier}_worker")),
            ("abacus_tasks", format!("{identifier}_tasks")),
            ("ABACUS_", format!("{}_", identifier.to_ascii_uppercase())),
            (SERVICE, service.to_string()),
        ];
        Self { replacements }
    }

    /// The service.
    pub(super) fn service(&self) -> &str {
        &self.replacements[NAME].1
    }

    /// Package and program.
    pub(super) fn worker(&self) -> &str {
        &self.replacements[WORKER].1
    }

    /// The package of the tasks.
    pub(super) fn tasks(&self) -> &str {
        &self.replacements[TASKS].1
    }

    /// A text or a path of the template with the new names. In one pass: what was put in is not looked at again.
    pub(super) fn put_into(&self, text: &str) -> String {
        let mut renamed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let found = self
                .replacements
                .iter()
                .find_map(|(old, new)| Some((new, rest.strip_prefix(old)?)));
            match found {
                Some((new, after)) => {
                    renamed.push_str(new);
                    rest = after;
                }
                None => {
                    renamed.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        renamed
    }
}

/// How the names of packages begin: small letters, digits and single dashes, a letter first, which is what cargo
/// takes and the compiler finds no fault with.
fn stem(service: &str) -> String {
    let small = service.to_ascii_lowercase();
    let words: Vec<_> = small
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let stem = words.join("-");
    // `counterfoil-worker` is a package that it depends on.
    let is_taken = stem == "counterfoil";
    match stem.chars().next() {
        None => OTHERWISE.to_owned(),
        Some(c) if c.is_ascii_digit() || is_taken => format!("{OTHERWISE}-{stem}"),
        Some(_) => stem,
    }
}

/// A name of a service that is like `text`. `None`: none is.
pub(super) fn similar(text: &str) -> Option<ServiceName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: Vec<_> = text
        .split(|c| !allowed(c))
        .filter(|word| !word.is_empty())
        .collect();
    ServiceName::new(&words.join("-")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(service: &str) -> NewNames {
        NewNames::of(&ServiceName::new(service).expect("valid"))
    }

    #[test]
    fn every_kind_of_name_is_replaced_in_its_own_style() {
        let text =
            "abacus.count abacus-worker abacus-tasks abacus_worker::x abacus_tasks ABACUS_DIR";
        assert_eq!(
            names("Export_v2").put_into(text),
            "Export_v2.count export-v2-worker export-v2-tasks export_v2_worker::x export_v2_tasks EXPORT_V2_DIR"
        );
    }

    #[test]
    fn a_service_that_looks_like_the_templates_is_put_in_once() {
        let renamed = names("abacus-x").put_into("abacus abacus-worker");
        assert_eq!(renamed, "abacus-x abacus-x-worker");
        assert_eq!(names("abacus").put_into("abacus_tasks"), "abacus_tasks");
    }

    #[test]
    fn a_service_that_cannot_begin_the_name_of_a_package_gets_a_word_in_front() {
        for (service, worker) in [
            ("3d", "service-3d-worker"),
            ("-", "service-worker"),
            ("__x--y_", "x-y-worker"),
            ("counterfoil", "service-counterfoil-worker"),
            ("image", "image-worker"),
        ] {
            assert_eq!(names(service).worker(), worker, "{service}");
        }
        assert_eq!(names("3d").put_into("ABACUS_DIR"), "SERVICE_3D_DIR");
    }
}
