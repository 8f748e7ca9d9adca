//! What the dashboard says while broker or database are away, and that it recovers by itself.

mod own_nodes {
    use super::super::{Site, hash, start};
    use crate::browser::Browser;
    use crate::platform::Platform;
    use anyhow::ensure;
    use counterfoil_testkit::{Database, PostgresNode, RabbitNode};

    /// What a notice of the page says.
    const NOTICE: &str = "document.getElementById('notice')?.textContent ?? ''";

    #[tokio::test(flavor = "multi_thread")]
    async fn without_the_database_the_page_says_so_and_recovers_by_itself() -> anyhow::Result<()> {
        let (rabbit, mut postgres) = tokio::try_join!(RabbitNode::start(), PostgresNode::start())?;
        let database = Database::of(&postgres).await?;
        let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
        let daemon = platform.daemon()?;
        let hash = hash(&platform)?;
        let (dashboard, url) = start(&mut platform, &hash).await?;
        let mut browser = Browser::start().await?;
        Site::sign_in_at(&mut browser, &url).await?;
        browser.go(&format!("{url}/tasks")).await?;
        postgres.stop_immediate().await?;
        // The page that is open says it beside what it shows.
        let away = format!("({NOTICE}).includes('the database does not answer')");
        browser.until("a notice", &away).await?;
        browser.picture("database-away").await?;
        // A page that is asked for now is a notice of its own, which looks again by itself.
        browser.go(&format!("{url}/tasks")).await?;
        let text = browser.text().await?;
        ensure!(
            text.contains("The database does not answer")
                && text.contains("Tasks go on being sent"),
            "{text}"
        );
        browser.picture("database-away-page").await?;
        postgres.restart().await?;
        let is_back = "document.querySelector('h1').innerText === 'Tasks'";
        browser.until("the page to come back", is_back).await?;
        browser.complaints.clear();
        browser.end().await?;
        ensure!(dashboard.terminate().await? == 0, "it did not end well");
        daemon.terminate().await?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_the_broker_everything_can_be_looked_at_and_queues_say_why_they_cannot()
    -> anyhow::Result<()> {
        let (mut rabbit, postgres) = tokio::try_join!(RabbitNode::start(), PostgresNode::start())?;
        let database = Database::of(&postgres).await?;
        let mut platform = Platform::init(&rabbit.amqp_url("/"), database.url())?;
        let hash = hash(&platform)?;
        let (dashboard, url) = start(&mut platform, &hash).await?;
        let mut browser = Browser::start().await?;
        Site::sign_in_at(&mut browser, &url).await?;
        browser.go(&format!("{url}/")).await?;
        rabbit.kill9().await?;
        // The page that is open says it by itself.
        let away = "document.body.innerText.includes('The broker cannot be asked')";
        browser.until("a warning", away).await?;
        browser.go(&format!("{url}/tasks")).await?;
        let text = browser.text().await?;
        ensure!(text.contains("No task was sent yet"), "{text}");
        browser.go(&format!("{url}/queues")).await?;
        browser.until("the queues to say so", away).await?;
        browser.picture("broker-away").await?;
        rabbit.restart().await?;
        let is_back = "document.body.innerText.includes('platform.fifo')";
        browser
            .until("the queues to come back by themselves", is_back)
            .await?;
        browser.end().await?;
        ensure!(dashboard.terminate().await? == 0, "it did not end well");
        Ok(())
    }
}
