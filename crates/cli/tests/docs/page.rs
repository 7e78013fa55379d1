//! A page, taken apart.

use crate::repository;
use std::fs;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// As `docs/git-push.md`.
    pub(crate) path: String,
    /// Each with the line where it begins.
    pub(crate) blocks: Vec<(usize, Block)>,
    /// All else.
    text: String,
}

/// What is between fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A file of documents, valid or not.
    File { path: String, text: String, is_broken: bool, judge: Judge },
    /// Commands that succeed.
    Script(String),
    /// Commands, each with what it prints.
    Session(Vec<(String, Vec<String>)>),
    /// Commands of CI.
    Ci(String),
    /// Not ours.
    Foreign,
}

/// Who has to take documents, or refuse them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// `abide validate`.
    Abide,
    /// The API server, by a dry run.
    Cluster,
}

impl Block {
    fn new(info: &str, text: String) -> Self {
        match info {
            "yaml" | "yaml broken" | "yaml cluster" | "yaml cluster broken" => {
                let first = text.lines().next().unwrap_or_default();
                let path = first.strip_prefix("# ").unwrap_or_default().to_owned();
                let judge = if info.contains("cluster") { Judge::Cluster } else { Judge::Abide };
                Self::File { path, text, is_broken: info.ends_with("broken"), judge }
            }
            "sh" => Self::Script(text),
            "sh ci" => Self::Ci(text),
            "console" => Self::Session(session(&text)),
            "text" => Self::Foreign,
            other => panic!("a block that begins with {other:?} is nothing that can be run"),
        }
    }

    pub(crate) fn of_ci(&self) -> Option<&str> {
        if let Self::Ci(text) = self { Some(text) } else { None }
    }
}

fn session(text: &str) -> Vec<(String, Vec<String>)> {
    let mut session: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), session.last_mut()) {
            (Some(command), _) => session.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => panic!("a session begins with a command, not with {line:?}"),
        }
    }
    session
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(repository().join(path)).unwrap();
        Self { path: path.to_owned(), ..Self::of(&text) }
    }

    pub(crate) fn of(markdown: &str) -> Self {
        let mut page = Self { path: String::new(), blocks: Vec::new(), text: String::new() };
        let mut lines = markdown.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            match line.strip_prefix("```") {
                None => page.text += &format!("{line}\n"),
                Some(info) => {
                    let block: String = lines
                        .by_ref()
                        .map(|(_, line)| line)
                        .take_while(|line| *line != "```")
                        .map(|line| format!("{line}\n"))
                        .collect();
                    page.blocks.push((number + 1, Block::new(info, block)));
                }
            }
        }
        page
    }

    /// Links to files of the repository.
    pub(crate) fn links(&self) -> impl Iterator<Item = &str> {
        let links = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.filter(|link| !link.contains("://"))
    }

    /// Headings, as links name them.
    pub(crate) fn anchors(&self) -> impl Iterator<Item = String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars()
                .filter(|c| c.is_alphanumeric() || " -".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
    }

    /// Our commands within the text.
    pub(crate) fn commands(&self) -> impl Iterator<Item = String> {
        // A command may go over the end of a line.
        let text = self.text.replace('\n', " ");
        let codes: Vec<String> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        codes.into_iter().filter(|code| code.starts_with("abide "))
    }
}

#[test]
fn a_page_is_taken_apart() {
    let page = Page::of(
        "# Of `abide get -w`\n```yaml\n# a/b.yaml\nx: 1\n```\n[there](x.md#of-it)\n```console\n$ echo a; echo b\na\nb\n$ true\n```\n",
    );
    let text = "# a/b.yaml\nx: 1\n".to_owned();
    let file = Block::File { path: "a/b.yaml".to_owned(), text, is_broken: false, judge: Judge::Abide };
    let echo = ("echo a; echo b".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
    let session = Block::Session(vec![echo, ("true".to_owned(), Vec::new())]);
    assert_eq!(page.blocks, [(2, file), (7, session)]);
    assert_eq!(page.links().collect::<Vec<_>>(), ["x.md#of-it"]);
    assert_eq!(page.commands().collect::<Vec<_>>(), ["abide get -w"]);
    assert_eq!(page.anchors().collect::<Vec<_>>(), ["of-abide-get--w"]);
}
