//! Something that people should know after they did something.

use super::{Layout, render};
use crate::access::Visitor;
use crate::shown::visible;
use crate::trouble::Trouble;
use askama::Template;
use axum::response::{IntoResponse, Response};

#[derive(Debug, Template)]
#[template(path = "said.html")]
struct SaidPage {
    layout: Layout,
    warnings: Vec<String>,
}

/// The page that says it. `here` is where people go on.
pub(super) fn page(
    visitor: &Visitor,
    here: &'static str,
    title: &str,
    warnings: &[String],
) -> Result<Response, Trouble> {
    let page = render(&SaidPage {
        layout: Layout::new(visitor, here, title),
        warnings: warnings.iter().map(|text| visible(text)).collect(),
    })?;
    Ok(page.into_response())
}
