//! The page that tells what is wrong.

use crate::assets;
use crate::trouble::Trouble;
use askama::Template;

#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub(crate) struct ProblemPage<'a> {
    pub(crate) trouble: &'a Trouble,
    /// Whether asking again does no harm.
    pub(crate) looks_again: bool,
}

impl ProblemPage<'_> {
    fn version(&self) -> &'static str {
        assets::version()
    }
}
