//! Whatever text comes, it is written, it is inert, and the raw bytes stay as they came.

use super::samples::{copy_of, event, lineage};
use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use counterfoil_store::{Batch, CanaryPlace, DeadLetter, Parked, StoredMessage, UnroutableFilter};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{FaultKind, LogLine, Progress, TaskFault};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::{Envelope, HeaderValue};
use counterfoil_toolbox::names::TaskName;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The list of naughty strings where it is at hand, and always the worst of our own.
#[must_use]
pub fn naughty() -> Vec<String> {
    let list = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/datasets/naughty-strings.json"
    );
    let found: Vec<String> = std::fs::read_to_string(list)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let own = [
        "a\0b",
        "\0",
        "'; DROP TABLE background_task; --",
        "$1 ?1 :name @name %s {}",
        "\u{feff}\u{202e}txet\u{200b}\u{fffe}\u{10ffff}",
        "\u{1b}[31mred\u{1b}[0m\r\n\t\u{7f}\u{85}",
        "\\u0000 \\x00 \\",
        "𝕳𝖊𝖑𝖑𝖔 👩‍👩‍👧‍👦 ﷽",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'><svg/onload=alert(1)>",
        "javascript:alert(1)",
        "{{7*7}}{% raw %}${7*7}",
        "{}",
        "NaN",
        "",
    ];
    found.into_iter().chain(own.map(str::to_owned)).collect()
}

/// A task that carries `text` wherever a producer or a worker can put text. Returns its id.
pub fn carrier(text: &str, batch: &mut Batch) -> TaskId {
    let id = TaskId::random();
    // Names of tasks take no white space and no control characters, but everything else.
    let name = TaskName::new(text)
        .or_else(|_| TaskName::new("demo.odd"))
        .expect("a task name");
    let mut envelope = Envelope::new(id.clone(), name.clone());
    for place in [
        &mut envelope.creator_id,
        &mut envelope.related,
        &mut envelope.identifier,
        &mut envelope.session_id,
        &mut envelope.origin,
        &mut envelope.reply_to,
    ] {
        *place = Some(text.into());
    }
    let mut copy = copy_of(envelope);
    copy.input = Some(serde_json::json!({"args": [text], "kwargs": {text: text}}).to_string());
    copy.message.exchange = text.into();
    copy.message.routing_key = text.into();
    copy.message.content.headers.set("note", text);
    copy.message
        .content
        .headers
        .set(text.to_owned(), HeaderValue::Null);
    copy.message.content.properties.message_id = Some(text.into());
    copy.message.content.body = text.as_bytes().to_vec().into();
    batch.track(&copy);
    let mut failure = event(&id, lineage(0, 0, 0), TaskState::Failure);
    failure.task = name;
    failure.service = text.into();
    failure.error = Some(TaskFault {
        kind: FaultKind::Exception,
        message: text.to_owned(),
        traceback: Some(text.to_owned()),
        exception: None,
    });
    failure.result = RawValue::from_string(serde_json::json!({text: [text]}).to_string()).ok();
    failure.progress = Some(Progress {
        current: i64::MIN,
        total: Some(i64::MAX),
        message: Some(text.to_owned()),
    });
    let mut log = failure.clone();
    log.event_id = Uuid::now_v7();
    log.kind = counterfoil_toolbox::event::EventKind::Log;
    log.log = Some(LogLine {
        level: text.into(),
        message: text.to_owned(),
        fields: [(text.to_owned(), text.into())].into_iter().collect(),
    });
    batch.event(&failure);
    batch.event(&log);
    set_aside(text, batch, copy.message);
    id
}

fn set_aside(text: &str, batch: &mut Batch, message: StoredMessage) {
    batch.park(Parked {
        queue: text.into(),
        reason: text.into(),
        task_id: None,
        name: Some(text.into()),
        message: message.clone(),
        waits: false,
    });
    batch.dead(DeadLetter {
        service: text.into(),
        reason: text.into(),
        reason_text: Some(text.into()),
        task_id: None,
        name: Some(text.into()),
        lineage: lineage(0, 0, 0),
        died_at: None,
        message,
    });
    batch.canary(Uuid::now_v7(), CanaryPlace::Events);
}

/// Every naughty string, in every place that takes text.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn texts_that_break_things_are_kept_harmless(site: &StoreSite) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    let texts = naughty();
    let ids: Vec<TaskId> = texts.iter().map(|text| carrier(text, &mut batch)).collect();
    site.store().apply(&batch).await?;
    for (text, id) in texts.iter().zip(&ids) {
        let row = site.store().task(id.as_str()).await?.context("a row")?;
        let without_nul = text.replace('\0', "");
        // Indexed, so cut at 500 bytes; the longest of these texts are longer.
        let cut = &without_nul[..without_nul.floor_char_boundary(500)];
        ensure!(row.creator_id.as_deref() == Some(cut), "{text:?}: {row:#?}");
        ensure!(
            row.error_message.as_ref() == Some(&without_nul),
            "{text:?}: {row:#?}"
        );
        ensure!(
            row.input.is_some() != text.contains('\0'),
            "{text:?}: {row:#?}"
        );
        let result = site.store().result(id, 0).await?.context("a result")?;
        let value = result.result.context("a value")?.to_value();
        ensure!(
            value == serde_json::json!({text.as_str(): [text]}),
            "{text:?}: {value}"
        );
        ensure!(site.store().log(id).await?.len() == 1, "{text:?}");
        let line = site.store().history(id).await?.pop().context("a line")?;
        let detail = line.detail.context("a detail")?.to_value();
        ensure!(
            detail["error_message"] == without_nul.as_str(),
            "{text:?}: {detail}"
        );
    }
    let counted: i64 = site
        .store()
        .counts_by_state(None)
        .await?
        .iter()
        .map(|c| c.tasks)
        .sum();
    ensure!(
        usize::try_from(counted)? == texts.len(),
        "the table is still there, and complete"
    );
    Ok(())
}

/// Arguments and results that `jsonb` refuses come back letter by letter.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn json_that_jsonb_refuses_is_kept_as_it_came(site: &StoreSite) -> anyhow::Result<()> {
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let huge = format!("[{}1e131071]", "1e131071,".repeat(200));
    let long = "7".repeat(5_000);
    let texts = [
        r#""a\u0000b""#,
        r#"["\ud800"]"#,
        r#"{"\udc00":1}"#,
        &huge,
        &nested,
        &long,
    ];
    let mut batch = Batch::new();
    let mut ids = Vec::new();
    for text in texts {
        let id = TaskId::random();
        let name = TaskName::new("demo.echo")?;
        let mut copy = copy_of(Envelope::new(id.clone(), name));
        copy.input = Some(format!(r#"{{"args": [{text}], "kwargs": {{}}}}"#));
        copy.message.content.body = format!("[[{text}], {{}}, {{}}]").into();
        copy.seen = counterfoil_store::Seen::Unroutable;
        batch.track(&copy);
        let done = TaskId::random();
        let mut success = event(&done, lineage(0, 0, 0), TaskState::Success);
        success.result = RawValue::from_string(text.to_owned()).ok();
        batch.event(&success);
        ids.push((id, done));
    }
    site.store().apply(&batch).await?;
    let demos = UnroutableFilter {
        service: "demo".to_owned(),
        ..UnroutableFilter::default()
    };
    let stored = site.store().unroutable(&demos).await?;
    for (text, (id, done)) in texts.iter().zip(&ids) {
        let row = site.store().task(id.as_str()).await?.context("a row")?;
        ensure!(row.input.is_none(), "{text}");
        let result = site.store().result(done, 0).await?.context("a result")?;
        ensure!(result.result.context("a value")?.get() == *text, "{text}");
        let task = stored
            .iter()
            .find(|task| task.task_id == *id)
            .context("a message")?;
        let body = format!("[[{text}], {{}}, {{}}]");
        ensure!(task.message.content.body == body.as_bytes(), "{text}");
    }
    Ok(())
}

/// Nobody can make a row that an index or a page cannot hold.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn texts_beyond_every_length_are_cut(site: &StoreSite) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    // Not compressible: PostgreSQL measures index rows after compression.
    let long: String = (0..200_000_u32)
        .map(|n| char::from_u32(0x4e00 + n.wrapping_mul(2_654_435_761) % 20_000).unwrap_or('字'))
        .collect();
    let id = carrier(&long, &mut batch);
    site.store().apply(&batch).await?;
    let row = site.store().task(id.as_str()).await?.context("a row")?;
    let cut = row.creator_id.context("a creator")?;
    ensure!(long.starts_with(&cut) && (400..=500).contains(&cut.len()));
    let raw = site.store().parked(&Default::default()).await?;
    ensure!(
        raw[0].message.content.body == long.as_bytes(),
        "the message itself is whole"
    );
    Ok(())
}

/// Python's calendar ends in 9999, PostgreSQL's later, chrono's in 262,142.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn times_beyond_every_calendar_are_moved(site: &StoreSite) -> anyhow::Result<()> {
    let last = Uuid::parse_str("ffffffff-ffff-7fff-bfff-ffffffffffff")?;
    for (id, far) in [
        (TaskId::from(last), DateTime::<Utc>::MAX_UTC),
        (TaskId::random(), DateTime::<Utc>::MIN_UTC),
    ] {
        let mut envelope = Envelope::new(id.clone(), TaskName::new("demo.add")?);
        (envelope.eta, envelope.expires) = (Some(far), Some(far));
        let mut batch = Batch::new();
        batch.track(&copy_of(envelope));
        for state in [TaskState::Retry, TaskState::Failure] {
            let mut event = event(&id, lineage(0, 0, 0), state);
            (event.at, event.retry_at, event.started_at) = (far, Some(far), Some(far));
            event.event_id = if state == TaskState::Retry {
                last
            } else {
                random_id()
            };
            batch.event(&event);
        }
        site.store().apply(&batch).await?;
        let row = site.store().task(id.as_str()).await?.context("a row")?;
        let eta = row.eta.context("an eta")?;
        ensure!(
            eta.timestamp() == 0 || eta.timestamp() == 253_402_300_799,
            "{eta}"
        );
        let now = site.store().clock().await?;
        ensure!(row.created_date <= now, "nothing was sent in the future");
        let result = site.store().result(&id, 0).await?.context("a result")?;
        ensure!(result.date_done <= now, "nor is over then");
        site.store().apply(&batch).await?;
        ensure!(site.store().history(&id).await?.len() == 4);
    }
    Ok(())
}

/// An id that is no UUID v7.
fn random_id() -> Uuid {
    uuid::Builder::from_random_bytes(Uuid::now_v7().into_bytes()).into_uuid()
}
