//! What a guide shows as code. Also read by tests of the command line.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The paragraph right before it, on one line.
    pub(crate) caption: String,
    /// What stands behind the fence: `rust`, or nothing.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The fenced blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut paragraph = Vec::new();
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                open = Some(Block {
                    caption: std::mem::take(&mut paragraph).join(" "),
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => {
                found.extend(open.take());
                paragraph.clear();
            }
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            // What stands before a blank line still introduces the block behind it, unless another paragraph begins.
            (None, None) if line.trim().is_empty() => paragraph.push(""),
            (None, None) => {
                if paragraph.last() == Some(&"") {
                    paragraph.clear();
                }
                paragraph.push(line.trim());
            }
        }
    }
    for block in &mut found {
        block.caption = block.caption.trim().to_owned();
    }
    found
}
