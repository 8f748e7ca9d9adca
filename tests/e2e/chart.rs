//! The chart of states in ARCHITECTURE.md is the one in the code.

use counterfoil_toolbox::TaskState;
use std::collections::BTreeSet;

#[test]
fn the_chart_that_people_read_is_the_one_that_workers_follow() {
    let page = include_str!("../../ARCHITECTURE.md");
    let arrows = page
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "));
    let drawn: BTreeSet<(String, String)> = arrows
        .filter(|(from, _)| *from != "[*]")
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect();
    let pairs = TaskState::ALL
        .into_iter()
        .flat_map(|from| TaskState::ALL.map(|to| (from, to)));
    let coded: BTreeSet<(String, String)> = pairs
        .filter(|(from, to)| from.may_become(*to))
        .map(|(from, to)| (from.to_string(), to.to_string()))
        .collect();
    assert_eq!(drawn, coded);
}
