//! What people are at, at a page that changes meanwhile, is left to them.

use super::Site;
use crate::platform::{PATIENCE, wait_for_count};
use anyhow::ensure;
use counterfoil_toolbox::TaskState;

/// Where people are on the page: what the link leads to.
const AT: &str = "document.activeElement.getAttribute('href')";

impl Site {
    /// One more task, which nobody runs.
    fn send(&self) -> anyhow::Result<String> {
        self.platform
            .said(&["send", "demo.add", r#"{"x": 1, "y": 2}"#])
    }

    async fn rows(&mut self, count: usize) -> anyhow::Result<()> {
        let are = format!("document.querySelectorAll('main tbody tr').length === {count}");
        self.browser.until("rows", &are).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_moves_by_keys_and_keeps_their_place_while_the_list_changes() -> anyhow::Result<()>
{
    let mut site = Site::new().await?;
    let daemon = site.platform.daemon()?;
    for _ in 0..3 {
        site.send()?;
    }
    wait_for_count(&*site.store, TaskState::Pending, 3, PATIENCE).await?;
    site.sign_in().await?;
    site.go("/tasks").await?;
    site.rows(3).await?;
    site.browser
        .evaluate("globalThis.isTheSamePage = true")
        .await?;
    for key in ["j", "j", "j", "k"] {
        site.browser.press(key).await?;
    }
    let at = site.browser.evaluate(AT).await?;
    let second =
        "document.querySelectorAll('main tbody tr')[1].querySelector('a').getAttribute('href')";
    ensure!(at == site.browser.evaluate(second).await?, "{at}");
    // The list is read again, and they are where they were.
    site.send()?;
    site.rows(4).await?;
    let is_there = format!("{AT} === {at}");
    site.browser
        .until("the place to be kept", &is_there)
        .await?;
    // A list of keys, and the search.
    site.browser.press("?").await?;
    site.browser
        .until("the keys", "document.getElementById('keys').open")
        .await?;
    site.browser.picture("keys").await?;
    site.browser
        .evaluate("document.querySelector('#keys button').click()")
        .await?;
    site.browser.press("/").await?;
    site.browser
        .until("the search", "document.activeElement.name === 'q'")
        .await?;
    site.browser
        .evaluate("document.activeElement.blur()")
        .await?;
    // Nothing is taken from under what somebody selects.
    site.browser
        .evaluate("getSelection().selectAllChildren(document.querySelector('main tbody td'))")
        .await?;
    site.send()?;
    let told = "document.getElementById('changes').innerText.includes('1 change is not shown')";
    site.browser.until("a word of it", told).await?;
    site.browser.picture("changes").await?;
    site.rows(4).await?;
    site.browser.click("Show").await?;
    site.rows(5).await?;
    site.browser
        .until(
            "no word of it any more",
            "document.getElementById('changes').hidden",
        )
        .await?;
    let same = site
        .browser
        .evaluate("globalThis.isTheSamePage === true")
        .await?;
    ensure!(same == true, "it was loaded anew");
    // Into the first row.
    site.browser
        .evaluate("globalThis.isOld = true; document.activeElement.blur()")
        .await?;
    for key in ["j", "Enter"] {
        site.browser.press(key).await?;
    }
    let opened = "!globalThis.isOld && document.readyState === 'complete' && location.pathname.startsWith('/tasks/')";
    site.browser.until("the task", opened).await?;
    deleted(&mut site).await?;
    daemon.terminate().await?;
    site.end().await
}

/// The task of the page is deleted elsewhere.
async fn deleted(site: &mut Site) -> anyhow::Result<()> {
    let path = site.browser.evaluate("location.pathname").await?;
    let id = path.as_str().unwrap_or_default().replace("/tasks/", "");
    site.platform.said(&["task", "cancel", &id])?;
    let is_over = "document.querySelector('h1').innerText.includes('REVOKED')";
    site.browser
        .until("the task to be cancelled", is_over)
        .await?;
    site.browser
        .evaluate("globalThis.isTheSamePage = true")
        .await?;
    site.platform.said(&["task", "delete", &id])?;
    let told = "document.getElementById('notice').innerText.includes('was deleted')";
    site.browser.until("a notice", told).await?;
    let stays =
        "globalThis.isTheSamePage && document.querySelector('h1').innerText.includes('REVOKED')";
    site.browser.until("what was known of it", stays).await?;
    site.browser.picture("deleted").await?;
    // The browser itself complains that it found nothing.
    site.browser.complaints.retain(|told| !told.contains("404"));
    Ok(())
}
