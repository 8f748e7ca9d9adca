//! Files that pages load. Their names hold a hash, so that browsers may keep them.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

use crate::shown::hex;
use crate::trouble::Trouble;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 5] = [
    Asset {
        name: "app.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../assets/app.css"),
    },
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../assets/app.js"),
    },
    Asset {
        name: "keys.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../assets/keys.js"),
    },
    Asset {
        name: "htmx.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../assets/vendor/htmx-2.0.11.min.js"),
    },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        text: include_str!("../assets/icon.svg"),
    },
];

/// One hash for all of them: they change together.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.text);
    }
    hex(&hash.finalize()[..6])
});

/// Part of the paths of all assets.
pub(crate) fn version() -> &'static str {
    &VERSION
}

/// `/assets/{version}/{name}`
pub(crate) async fn asset(
    Path((version, name)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Trouble::not_found("there is no such file"))?;
    // Of a version that is gone, a page asks only for a moment.
    let cache = match version == *VERSION {
        true => "public, max-age=31536000, immutable",
        false => "no-store",
    };
    let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, cache)];
    Ok((StatusCode::OK, headers, asset.text).into_response())
}
