//! What guides tell people to type can be typed.

#[path = "../../../tests/e2e/guides/markdown.rs"]
mod markdown;

use super::*;
use clap::CommandFactory;
use clap::error::ErrorKind;
use markdown::blocks;
use serde_json::Value;
use std::path::Path;

/// Commands in a text for a shell: their words, without variables before and redirections behind them.
fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let (script, inner) = substituted(&script);
    let mut found: Vec<_> = inner.iter().flat_map(|inner| commands(inner)).collect();
    let mut whole = String::new();
    for line in script.lines() {
        whole.push_str(line);
        // A quotation may go on in the next line.
        let Ok(words) = shell_words::split(&whole) else {
            whole.push('\n');
            continue;
        };
        whole.clear();
        found.extend(split(words));
    }
    assert!(whole.trim().is_empty(), "a quotation does not end: {whole}");
    found
}

/// A script with a word instead of each `$(…)`, and what stands in those.
fn substituted(script: &str) -> (String, Vec<&str>) {
    let (mut outer, mut inner) = (String::new(), Vec::new());
    let mut rest = script;
    while let Some((before, after)) = rest.split_once("$(") {
        outer.push_str(before);
        outer.push_str("SUBSTITUTED");
        let (mut depth, mut is_quoted) = (1, false);
        let end = after.find(|c| {
            is_quoted ^= c == '\'';
            depth += i32::from(c == '(' && !is_quoted) - i32::from(c == ')' && !is_quoted);
            depth == 0
        });
        let end = end.expect("every $( is closed");
        inner.push(&after[..end]);
        rest = &after[end + 1..];
    }
    outer.push_str(rest);
    (outer, inner)
}

fn split(words: Vec<String>) -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    for word in words {
        let ends = [
            "&&", "||", "|", ";", "&", "do", "then", "if", "while", "until", "!", "{", "--",
        ];
        let (word, is_last) = match word.strip_suffix(';') {
            Some(word) => (word.to_owned(), true),
            None => (word, false),
        };
        if ends.contains(&word.as_str()) {
            found.push(Vec::new());
        } else {
            found.last_mut().expect("never empty").push(word);
        }
        if is_last {
            found.push(Vec::new());
        }
    }
    found.into_iter().filter_map(ours).collect()
}

/// The words of a command that is `counterfoil`.
fn ours(words: Vec<String>) -> Option<Vec<String>> {
    let is_assignment = |word: &&String| word.contains('=') && !word.starts_with('-');
    let runs_another = |word: &&String| ["sudo", "exec", "time", "watch"].contains(&word.as_str());
    let assigned = words.iter().take_while(is_assignment).count();
    let before = words[assigned..].iter().take_while(runs_another).count();
    let words = &words[assigned + before..];
    let program = words.first()?;
    (program == "counterfoil" || program.ends_with("/counterfoil")).then_some(())?;
    let redirects = |word: &String| word.trim_start_matches(['1', '2']).starts_with(['>', '<']);
    let end = words.iter().position(redirects).unwrap_or(words.len());
    Some(words[..end].to_vec())
}

/// What is wrong with a command. `names_only`: it may lack what it takes, like those that are only named.
fn fault(words: &[String], names_only: bool) -> Option<String> {
    let bad_json = |word: &&String| {
        let is_json = word.starts_with(['{', '[']) && !word.contains('…');
        is_json && serde_json::from_str::<Value>(word).is_err()
    };
    if let Some(word) = words.iter().find(bad_json) {
        return Some(format!("{word} is no JSON"));
    }
    let error = Cli::try_parse_from(words).err()?;
    let kind = error.kind();
    let asks = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let lacks = matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_fine = asks || (lacks && names_only);
    (!is_fine).then(|| error.to_string())
}

/// Commands that stand between two backticks in prose and tables, with or without `counterfoil`.
fn mentioned(page: &str) -> Vec<Vec<String>> {
    let known: Vec<_> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut prose = String::new();
    for (number, part) in page.split("```").enumerate() {
        if number % 2 == 0 {
            prose.push_str(part);
        }
    }
    let spans = prose.split('`').skip(1).step_by(2);
    let words = spans.filter_map(|span| shell_words::split(&span.replace('\n', " ")).ok());
    let command = |words: Vec<String>| match &words[..] {
        [first, _, ..] if first == "counterfoil" => Some(words),
        [first, _, ..] if known.contains(first) => {
            Some([vec!["counterfoil".to_owned()], words].concat())
        }
        _ => None,
    };
    words.filter_map(command).collect()
}

/// Everything that is wrong on a page, and how many commands it has.
fn check(page: &str) -> (Vec<String>, usize) {
    let (mut faults, mut count) = (Vec::new(), 0);
    let mut look = |words: Vec<String>, names_only| {
        count += 1;
        let fault = fault(&words, names_only);
        faults.extend(fault.map(|fault| format!("{}: {fault}", words.join(" "))));
    };
    let scripts = blocks(page).into_iter();
    for script in scripts.filter(|block| ["", "sh", "bash"].contains(&block.language.as_str())) {
        for words in commands(&script.text) {
            look(words, false);
        }
    }
    for words in mentioned(page) {
        look(words, true);
    }
    (faults, count)
}

#[test]
fn every_command_that_a_guide_shows_can_be_typed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![
        root.join("README.md"),
        root.join("deploy/README.md"),
        root.join("worker-template/README.md"),
    ];
    for entry in std::fs::read_dir(root.join("docs")).expect("the guides") {
        pages.push(entry.expect("readable").path());
    }
    let mut all = 0;
    for page in pages {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page).expect("readable");
        let (faults, count) = check(&text);
        assert!(faults.is_empty(), "{}: {faults:#?}", page.display());
        all += count;
    }
    assert!(all > 80, "the search finds what is there: {all}");
}

#[test]
fn commands_are_found_wherever_a_shell_would_find_them() {
    let script = r#"
A=1 counterfoil init && counterfoil queues > file   # counterfoil none
cargo build --package counterfoil; /usr/bin/counterfoil doctor \
    --probe 2>&1 | less
ID=$(counterfoil send a.b '{"x": "a b",
  "y": 2}')
for id in "$(counterfoil task list --json)"; do counterfoil why "$id"; done
kubectl exec pod -- counterfoil audit
"#;
    let found: Vec<_> = commands(script)
        .iter()
        .map(|words| words[1..].join(" "))
        .collect();
    let sent = "send a.b {\"x\": \"a b\",\n  \"y\": 2}";
    assert_eq!(
        found,
        [
            sent,
            "task list --json",
            "init",
            "queues",
            "doctor --probe",
            "why $id",
            "audit"
        ]
    );
    assert_eq!(
        mentioned("`task show ID`, `demo.add x` and `counterfoil pause`").len(),
        2
    );
}

#[test]
fn a_command_that_cannot_be_typed_is_found_with_what_is_wrong() {
    for (page, wrong) in [
        ("```\ncounterfoil task lst\n```", "unrecognized subcommand"),
        ("```\ncounterfoil why\n```", "required"),
        ("`counterfoil init --quickly`", "unexpected argument"),
        ("`task list --state ALIVE`", "no state has this name"),
        ("```sh\ncounterfoil send a.b '{x: 1}'\n```", "is no JSON"),
        (
            "```\nX=$(counterfoil send a.b --countdown soon)\n```",
            "invalid value",
        ),
    ] {
        let (faults, count) = check(page);
        assert_eq!((faults.len(), count), (1, 1), "{page}: {faults:?}");
        assert!(faults[0].contains(wrong), "{faults:?}");
    }
    let (faults, _) = check("`counterfoil task cancel`, `workers quiet`, `new PATH`");
    assert_eq!(faults, [""; 0]);
}
