//! What the system says of this process.

use serde_json::{Value, json};
use std::fs;

/// Ticks of the system's clock in a second, as Linux tells times of processes.
const TICKS: f64 = 100.0;

/// What it has used, as `getrusage` tells it; `N/A` where the system does not say.
pub(super) fn usage() -> Value {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    usage_of(&read("/proc/self/stat"), &read("/proc/self/status")).unwrap_or("N/A".into())
}

fn usage_of(stat: &str, status: &str) -> Option<Value> {
    // Behind the name of the program, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let faults = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let of_status = |name| number(status, name);
    Some(json!({
        "utime": field(11)? / TICKS,
        "stime": field(12)? / TICKS,
        "maxrss": of_status("VmHWM:")?,
        "ixrss": 0,
        "idrss": 0,
        "isrss": 0,
        "minflt": faults(7)?,
        "majflt": faults(9)?,
        "nswap": 0,
        "inblock": 0,
        "oublock": 0,
        "msgsnd": 0,
        "msgrcv": 0,
        "nsignals": 0,
        "nvcsw": of_status("voluntary_ctxt_switches:")?,
        "nivcsw": of_status("nonvoluntary_ctxt_switches:")?,
    }))
}

/// How much memory it has, for people.
pub(super) fn memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(human(number(&status, "VmRSS:")? * 1024))
}

fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// With five digits and a unit.
#[allow(clippy::cast_precision_loss, reason = "five digits are told")]
fn human(bytes: u64) -> String {
    let units = [
        (1_u64 << 40, "TB"),
        (1 << 30, "GB"),
        (1 << 20, "MB"),
        (1 << 10, "KB"),
    ];
    let unit = units.into_iter().find(|(size, _)| bytes >= *size);
    let Some((size, unit)) = unit else {
        return format!("{bytes}b");
    };
    let number = bytes as f64 / size as f64;
    let whole = number.trunc().to_string().len();
    let text = format!("{number:.*}", 5_usize.saturating_sub(whole));
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_celery_tells_them() {
        assert_eq!(human(55_460_000), "52.891MB");
        assert_eq!(human(1 << 20), "1MB");
        assert_eq!(human(1500), "1.4648KB");
        assert_eq!(human(12), "12b");
    }

    #[test]
    fn what_the_system_tells_of_a_process_is_read_behind_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 1393 0 5 0 44 5 0 0 20 0 1 0 100 0 0";
        let status = "Name:\ta) b\nVmHWM:\t   53868 kB\nvoluntary_ctxt_switches:\t206\nnonvoluntary_ctxt_switches:\t12\n";
        let usage = usage_of(stat, status).expect("it is told");
        assert_eq!(
            (&usage["utime"], &usage["stime"]),
            (&json!(0.44), &json!(0.05))
        );
        assert_eq!(
            (&usage["minflt"], &usage["majflt"]),
            (&json!(1393), &json!(5))
        );
        assert_eq!(
            (&usage["maxrss"], &usage["nvcsw"], &usage["nivcsw"]),
            (&json!(53868), &json!(206), &json!(12))
        );
        assert_eq!(usage_of("", ""), None);
    }
}
