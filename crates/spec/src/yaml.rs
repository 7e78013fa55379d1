//! YAML as a tree in which every node knows its place.
//!
//! A repository is hostile: sizes, depth, and what aliases expand to are bounded, tags and merge keys refused. Scalars
//! stay text, and get their type from the field they are for: no `no` becomes `false`.

use crate::diagnostic::{Diagnostic, Place, Related};
use serde_yaml::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span};
use std::{collections::HashMap, sync::Arc};

/// Bytes of a file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Nodes of a file, aliases expanded.
const NODES_MAX: usize = 1_000_000;
/// Folders of nesting.
const DEPTH_MAX: usize = 64;

/// A file's name and text, shared by all that speaks of places in it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: Arc<str>,
    text: String,
    /// Where each line begins in the text.
    starts: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing was written.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    pub(crate) fn scalar(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value { Some(text) } else { None }
    }
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect();
        Self { name: name.into(), text: text.to_owned(), starts }
    }

    pub(crate) fn diagnostic(&self, place: Place, message: impl Into<String>) -> Diagnostic {
        let start = place.line.checked_sub(1).and_then(|line| self.starts.get(line));
        let text = start.and_then(|start| self.text[*start..].lines().next()).unwrap_or_default().to_owned();
        Diagnostic { file: Arc::clone(&self.name), place, message: message.into(), text, related: Vec::new() }
    }
}

/// The documents of a file that are not empty. What comes before a syntax error is still returned.
pub(crate) fn read(name: &str, bytes: &[u8], mistakes: &mut Vec<Diagnostic>) -> (File, Vec<Node>) {
    let empty = File::new(name, "");
    if bytes.len() > FILE_BYTES_MAX {
        let text = format!("the file has {} bytes; split it: at most {FILE_BYTES_MAX} are read", bytes.len());
        mistakes.push(empty.diagnostic(Place::default(), text));
        return (empty, Vec::new());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let right = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let (line, last) = right.split('\n').enumerate().last().unwrap_or_default();
            let place = Place { line: line + 1, column: last.chars().count() + 1, width: 1 };
            let shown = File::new(name, &String::from_utf8_lossy(bytes));
            mistakes.push(shown.diagnostic(place, "this is not UTF-8; save the file as UTF-8"));
            return (empty, Vec::new());
        }
    };
    let file = File::new(name, text);
    let mut documents = Vec::new();
    let mut builder = Builder { file: &file, mistakes, anchors: HashMap::new(), nodes: 0 };
    if let Err(diagnostic) = builder.documents(text, &mut documents) {
        builder.mistakes.push(*diagnostic);
    }
    (file, documents)
}

struct Builder<'a> {
    file: &'a File,
    mistakes: &'a mut Vec<Diagnostic>,
    /// What anchors stand for, and how many nodes that is.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

type Fatal = Box<Diagnostic>;
type Events<'e, 't> = &'e mut dyn Iterator<Item = (Event<'t>, Span)>;

impl Builder<'_> {
    fn documents(&mut self, text: &str, documents: &mut Vec<Node>) -> Result<(), Fatal> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.block_nesting_limit = DEPTH_MAX;
        options.flow_nesting_limit = DEPTH_MAX;
        let mut syntax = None;
        let parser = Parser::new_from_str_with_options(text, options);
        let mut events = parser.map_while(|event| event.map_err(|error| syntax = Some(error)).ok());
        let mut result = Ok(());
        while let (Some((event, span)), Ok(())) = (events.next(), &result) {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) => self.anchors.clear(),
                event => match self.node(event, span, &mut events) {
                    Ok(Some(Node { value: Value::Null, .. })) => {}
                    Ok(Some(node)) => documents.push(node),
                    Ok(None) => break,
                    Err(fatal) => result = Err(fatal),
                },
            }
        }
        drop(events);
        match syntax {
            Some(error) => Err(Box::new(self.file.diagnostic(at(*error.marker(), 1), plain(&error.to_string())))),
            None => result,
        }
    }

    /// A node and all below it; `None` where the text ends early: the parser has said why.
    fn node(&mut self, event: Event<'_>, span: Span, events: Events<'_, '_>) -> Result<Option<Node>, Fatal> {
        let before = self.nodes;
        self.count(1, span)?;
        let place =
            at(span.start, if span.start.line() == span.end.line() { span.end.col() - span.start.col() } else { 1 });
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                (if is_null { Value::Null } else { Value::Scalar(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                let mut list = Vec::new();
                loop {
                    match events.next() {
                        None => return Ok(None),
                        Some((Event::SequenceEnd, _)) => break,
                        Some((event, span)) => {
                            let Some(node) = self.node(event, span, events)? else { return Ok(None) };
                            list.push(node);
                        }
                    }
                }
                (Value::List(list), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                let Some(map) = self.map(events)? else { return Ok(None) };
                (Value::Map(map), anchor)
            }
            Event::Alias(id) => return self.alias(id, place, span).map(Some),
            _ => return Ok(None),
        };
        let node = Node { value, place };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(Some(node))
    }

    fn map(&mut self, events: Events<'_, '_>) -> Result<Option<Vec<(Key, Node)>>, Fatal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let Some((event, span)) = events.next() else { return Ok(None) };
            if event == Event::MappingEnd {
                if may_have_doubles(&entries) {
                    self.drop_doubles(&mut entries);
                }
                return Ok(Some(entries));
            }
            let Some(key) = self.node(event, span, events)? else { return Ok(None) };
            let Some((event, span)) = events.next() else { return Ok(None) };
            let Some(node) = self.node(event, span, events)? else { return Ok(None) };
            let Value::Scalar(text) = key.value else {
                self.mistakes.push(self.file.diagnostic(key.place, "a key must be a word"));
                continue;
            };
            if text == "<<" {
                self.mistakes.push(self.file.diagnostic(key.place, "merge keys are not taken; write the fields out"));
                continue;
            }
            entries.push((Key { text, place: key.place }, node));
        }
    }

    /// Of entries of one key only the first counts.
    fn drop_doubles(&mut self, entries: &mut Vec<(Key, Node)>) {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        // Equal keys stay in the order in which they were written.
        order.sort_by(|one, other| entries[*one].0.text.cmp(&entries[*other].0.text));
        let mut doubles = Vec::new();
        for same in order.chunk_by(|one, other| entries[*one].0.text == entries[*other].0.text) {
            let Key { text, place: first } = &entries[same[0]].0;
            for double in &same[1..] {
                let mut mistake =
                    self.file.diagnostic(entries[*double].0.place, format!("`{text}` is here twice; keep one"));
                let file = Arc::clone(&self.file.name);
                mistake.related.push(Related { file, place: *first, message: format!("`{text}` is here first") });
                self.mistakes.push(mistake);
                doubles.push(*double);
            }
        }
        if !doubles.is_empty() {
            doubles.sort_unstable();
            let mut index = 0..;
            entries.retain(|_| index.next().is_none_or(|index| doubles.binary_search(&index).is_err()));
        }
    }

    fn alias(&mut self, id: usize, place: Place, span: Span) -> Result<Node, Fatal> {
        let Some((node, nodes)) = self.anchors.get(&id).cloned() else {
            return Err(Box::new(self.file.diagnostic(place, "this alias stands for itself; write it out")));
        };
        self.count(nodes, span)?;
        Ok(Node { place, ..node })
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let text = format!("the file has, with its aliases written out, more than {NODES_MAX} values; split it");
        Err(Box::new(self.file.diagnostic(at(span.start, 1), text)))
    }

    fn refuse_tag(&mut self, is_tagged: bool, place: Place) {
        if is_tagged {
            self.mistakes.push(self.file.diagnostic(place, "tags (`!…`) are not taken; write the value alone"));
        }
    }
}

/// Most maps are small and right: there, comparing each with each costs less than sorting.
fn may_have_doubles(entries: &[(Key, Node)]) -> bool {
    const SMALL: usize = 16;
    let is_double = |(n, (key, _)): (usize, &(Key, Node))| entries[..n].iter().any(|(other, _)| other.text == key.text);
    entries.len() > SMALL || entries.iter().enumerate().any(is_double)
}

fn at(marker: Marker, width: usize) -> Place {
    Place { line: marker.line(), column: marker.col() + 1, width }
}

/// The parser's words without the place, which is shown before them.
fn plain(message: &str) -> String {
    let message = message.split(" at char ").next().unwrap_or(message);
    format!("this is not YAML: {message}")
}
