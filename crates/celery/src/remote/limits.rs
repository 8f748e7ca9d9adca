//! Limits that are changed while a worker runs.

use super::answer::{Raised, nok, ok};
use super::arguments::Arguments;
use super::cut;
use super::panel::Panel;
use super::python::repr_str;
use counterfoil_toolbox::{Rate, TaskName};
use serde_json::Value;
use std::time::Duration;

impl Panel {
    pub(super) fn rate_limit(&self, arguments: &Arguments) -> Result<Value, Raised> {
        for argument in ["task_name", "rate_limit"] {
            if !arguments.0.contains_key(argument) {
                return Err(Raised::missing("rate_limit", argument));
            }
        }
        let said = match arguments.get("rate_limit") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) | None => String::new(),
        };
        let rate = match rate(&said) {
            Ok(rate) => rate,
            Err(NoRate::Unit(unit)) => return Err(Raised::key_error(&unit)),
            Err(NoRate::Count(count)) => {
                let error = format!("could not convert string to float: {}", repr_str(&count));
                let error = format!(
                    "Invalid rate limit string: ValueError({})",
                    repr_str(&error)
                );
                return Ok(nok(error));
            }
        };
        let task = arguments.text("task_name").unwrap_or_default();
        let name = task.parse::<TaskName>().ok();
        let limited = name.and_then(|name| self.inside.limit_rate(&name, rate).ok());
        if limited.is_none() {
            return Ok(nok("unknown task"));
        }
        tracing::info!(
            task_name = task,
            what = cut(&said),
            "the rate limit of a type is changed by remote control"
        );
        Ok(match said.is_empty() {
            true => ok("rate limit disabled successfully"),
            false => ok("new rate limit set successfully"),
        })
    }

    pub(super) fn time_limit(&self, arguments: &Arguments) -> Value {
        let limit = |name| arguments.number(name).filter(|limit| *limit > 0.0);
        // What no clock can hold is no limit.
        let limit = |name| limit(name).and_then(|limit| Duration::try_from_secs_f64(limit).ok());
        let (hard, soft) = (limit("hard"), limit("soft"));
        let task = arguments.text("task_name").unwrap_or_default();
        let name = task.parse::<TaskName>().ok();
        let limited = name.and_then(|name| self.inside.limit_time(&name, hard, soft).ok());
        if limited.is_none() {
            return nok("unknown task");
        }
        let what = format!("soft {soft:?}, hard {hard:?}");
        tracing::info!(
            task_name = task,
            what,
            "the time limits of a type are changed by remote control"
        );
        ok("time limits set successfully")
    }

    pub(super) fn pool_grow(&self, arguments: &Arguments) -> Result<Value, Raised> {
        let now = self.inside.grow(places(arguments)?);
        tracing::info!(
            limit = now,
            "the worker runs more tasks at a time, by remote control"
        );
        Ok(ok("pool will grow"))
    }

    pub(super) fn pool_shrink(&self, arguments: &Arguments) -> Result<Value, Raised> {
        let now = self.inside.shrink(places(arguments)?);
        tracing::info!(
            limit = now,
            "the worker runs fewer tasks at a time, by remote control"
        );
        Ok(ok("pool will shrink"))
    }
}

/// How many places; one unless somebody says otherwise.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between nothing and the most places that there may be"
)]
fn places(arguments: &Arguments) -> Result<u16, Raised> {
    if arguments.get("n").is_none() {
        return Ok(1);
    }
    let number = arguments.number("n");
    let number = number.ok_or_else(|| Raised::type_error("n is a number of places"))?;
    Ok(number.clamp(0.0, f64::from(u16::MAX)) as u16)
}

/// Why a text is no rate.
#[derive(Debug, PartialEq, Eq)]
enum NoRate {
    Count(String),
    Unit(String),
}

/// Reads a rate as Celery does: `10/m`, `0.5/s`, a number alone per second; nothing and 0 are no limit.
fn rate(text: &str) -> Result<Option<Rate>, NoRate> {
    if text.is_empty() {
        return Ok(None);
    }
    let (count, unit) = text.split_once('/').unwrap_or((text, ""));
    let number = count.trim().parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite());
    let number = number.ok_or_else(|| NoRate::Count(count.to_owned()))?;
    let per_hour = match unit {
        "" | "s" => 3600.0,
        "m" => 60.0,
        "h" => 1.0,
        other => return Err(NoRate::Unit(other.to_owned())),
    };
    if number <= 0.0 {
        return Ok(None);
    }
    if let Ok(rate) = text.replace(' ', "").parse() {
        return Ok(Some(rate));
    }
    Ok(Some(Rate::per_hour(whole(number * per_hour))))
}

/// The nearest whole number, and at least one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between one and the largest"
)]
fn whole(number: f64) -> u32 {
    number.round().clamp(1.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_celery_reads_them() {
        for (text, wanted) in [
            ("10/m", Some(Rate::per_minute(10))),
            ("10", Some(Rate::per_second(10))),
            ("0.5/s", Some(Rate::per_hour(1800))),
            ("0.5/h", Some(Rate::per_hour(1))),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(rate(text), Ok(wanted), "{text}");
        }
        assert_eq!(rate("often"), Err(NoRate::Count("often".to_owned())));
        assert_eq!(rate("1/day"), Err(NoRate::Unit("day".to_owned())));
    }
}
