//! Texts that break things, in a real browser: no script runs, no page is wider than its window.

use super::Site;
use anyhow::{Context as _, ensure};
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::hostile::{carrier, naughty};

/// Wide screens and phones.
const WIDTHS: [u32; 2] = [1280, 390];

/// Lists that show all texts, page by page.
const LISTS: [&str; 4] = ["/tasks", "/tasks?state=FAILURE", "/dead", "/parked"];

/// What makes the page wider than its window.
const WIDE: &str = "(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const isCut = (e) => e && (getComputedStyle(e).overflowX !== 'visible' || isCut(e.parentElement));
    const all = [...document.querySelectorAll('body *')];
    const it = all.find((e) => e.getBoundingClientRect().right > width + 1 && !isCut(e.parentElement));
    return it ? it.parentElement.outerHTML.slice(0, 300) : 'the page';
})()";

#[tokio::test(flavor = "multi_thread")]
async fn no_text_from_elsewhere_runs_or_breaks_the_layout_in_a_browser() -> anyhow::Result<()> {
    let mut site = Site::new().await?;
    let mut ids = Vec::new();
    for text in naughty() {
        // One each: within a batch the database takes rows for the same that are alike.
        let mut batch = Batch::new();
        let id = carrier(&text, &mut batch);
        site.store.apply(&batch).await?;
        ids.push(site.store.public_id(&id).context("a public id")?);
    }
    site.sign_in().await?;
    for width in WIDTHS {
        site.browser.width(width).await?;
        for list in LISTS {
            through(&mut site, list).await?;
        }
        look(&mut site, "/").await?;
        look(&mut site, "/audit").await?;
    }
    // Every text stands on a page of its own, too; a phone has the least room for it.
    for id in ids {
        look(&mut site, &format!("/tasks/{id}")).await?;
    }
    site.end().await
}

/// Looks at all pages of a list.
async fn through(site: &mut Site, list: &str) -> anyhow::Result<()> {
    let mut next = Some(list.to_owned());
    while let Some(path) = next {
        look(site, &path).await?;
        let link = "document.querySelector('a[rel=next]')?.getAttribute('href') ?? null";
        let link = site.browser.evaluate(link).await?;
        next = link.as_str().map(str::to_owned);
    }
    Ok(())
}

async fn look(site: &mut Site, path: &str) -> anyhow::Result<()> {
    site.go(path).await?;
    let complaints = &site.browser.complaints;
    ensure!(complaints.is_empty(), "{path}: {complaints:?}");
    let is_page =
        "document.querySelector('h1') !== null && document.querySelector('.top nav') !== null";
    let is_page = site.browser.evaluate(is_page).await?;
    ensure!(
        is_page == true,
        "{path} is no page: {}",
        site.browser.text().await?
    );
    let wide = site.browser.evaluate(WIDE).await?;
    ensure!(wide.is_null(), "{path} is wider than the window: {wide}");
    Ok(())
}
