//! `abide validate`

mod fleet;

use crate::{
    args::Validate,
    documents,
    exit::{Done, Exit, Failure},
    output,
    render::count,
};
use abide_spec::{Context, Diagnostic, Scope, kind::Grants};
use serde::Serialize;

/// The answer for programs.
#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    units: usize,
    mistakes: Vec<Mistake>,
}

#[derive(Debug, Serialize)]
struct Mistake {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

pub(crate) fn run(command: &Validate) -> Done {
    let mut units = 0;
    let mut mistakes: Vec<Diagnostic> = Vec::new();
    let mut grants = Grants::default();
    match command.source.as_deref().map(documents::read_source).transpose()? {
        Some(Ok((_, spec))) => grants = spec.grants,
        Some(Err(found)) => mistakes.extend(found),
        None => {}
    }
    let scope = Scope::new("here").expect("it is a name");
    for path in &command.paths {
        let read = if let Some(folder) = fleet::folder_of(path) {
            fleet::check(folder, command.machine.as_ref(), Context::sealed(&scope, &grants, None))?
        } else if command.machine.is_some() {
            let text = format!("{} is no fleet's: there is no {} in it", path.display(), abide_spec::fleet::FILE);
            return Err(Failure::usage(text));
        } else {
            documents::warn_of_nothing(path);
            documents::read(path, &scope, &grants)?.map(|parsed| parsed.units.len())
        };
        match read {
            Ok(count) => units += count,
            Err(found) => mistakes.extend(found),
        }
    }
    let report = Report { valid: mistakes.is_empty(), units, mistakes: mistakes.iter().map(Mistake::from).collect() };
    output::print(command.output.format, &report, || words(units, &mistakes));
    Ok(if report.valid { Exit::Done } else { Exit::Refused })
}

fn words(units: usize, mistakes: &[Diagnostic]) -> String {
    if mistakes.is_empty() {
        return format!("valid: {}\n", count(units, "unit"));
    }
    let listed: String = mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
    format!("{listed}\n{}\n", count(mistakes.len(), "mistake"))
}

impl From<&Diagnostic> for Mistake {
    fn from(mistake: &Diagnostic) -> Self {
        let Diagnostic { file, place, message, .. } = mistake;
        Self { file: file.to_string(), line: place.line, column: place.column, message: message.clone() }
    }
}
