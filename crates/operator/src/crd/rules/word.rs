//! Names, quantities and spans of time.

use crate::crd::rule::{FIRST, Rule, SECOND};
use abide_spec::{Kind, limits::SPAN_HOURS_MAX, words};

/// Of documents and what they refer to.
pub(super) const NAME: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// Of nodes: such names, with dots between them.
const NODE_NAME: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
/// Amounts of bytes.
pub(super) const BYTES: &str = "^[0-9]+(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$";
/// How many bytes their units have.
pub(super) const FACTORS: &str = "{'': 1, \
    'Ki': 1024, 'Mi': 1048576, 'Gi': 1073741824, 'Ti': 1099511627776, 'Pi': 1125899906842624, 'Ei': 1152921504606846976, \
    'k': 1000, 'M': 1000000, 'G': 1000000000, 'T': 1000000000000, 'P': 1000000000000000, 'E': 1000000000000000000}";
/// Processor time.
pub(super) const CPU: &str = "^[0-9]{1,15}m?$";
/// Digits enough for a year of each unit, so that none is too large to be compared.
const SPAN: &str = "^0*([0-9]{1,11}ms|[0-9]{1,8}s|[0-9]{1,6}m|[0-9]{1,4}h)$";

pub(super) fn rules() -> Vec<(&'static str, Rule)> {
    let mut rules = vec![
        ("Name", Rule::about(is_name("self"), &words::no_name(FIRST), &["self"])),
        ("NodeName", node()),
        ("Span", span()),
    ];
    rules.extend(quantity(
        "Bytes",
        words::BYTES,
        &Written {
            valid: format!("string(self).matches(r'{BYTES}') && quantity(string(self)).isLessThan(quantity('8Ei'))"),
            decimal: "^[0-9]{1,6}[.][0-9]{1,6}(Ki|Mi|Gi|Ti|k|M|G|T)?$",
            factor: &format!("{FACTORS}[string(self).find('[A-Za-z]*$')]"),
            exact: with_unit("n"),
        },
    ));
    rules.extend(quantity(
        "Cpu",
        words::CPU,
        &Written {
            valid: format!("string(self).matches(r'{CPU}') && !string(self).matches('^0+m?$')"),
            decimal: "^[0-9]{1,6}[.][0-9]{1,6}$",
            factor: "1000",
            exact: "'%dm'.format([n])".to_owned(),
        },
    ));
    rules.extend(unit_ref());
    rules
}

/// Whether the expression is a document's name.
pub(super) fn is_name(text: &str) -> String {
    format!("{text}.size() <= 63 && {text}.matches(r'{NAME}')")
}

/// A quantity that may be written as an integer too, so that CEL doesn't know its type.
struct Written<'a> {
    /// An expression: it is one.
    valid: String,
    /// A pattern: it isn't, but if it is a whole number of the smallest unit, there is an exact way to write it.
    decimal: &'static str,
    /// An expression: how many of the smallest unit its unit has.
    factor: &'a str,
    /// An expression of `n`, a number of the smallest unit: how it is written.
    exact: String,
}

fn quantity(about: &'static str, words: words::Quantity, written: &Written<'_>) -> [(&'static str, Rule); 2] {
    let Written { valid, decimal, factor, exact } = written;
    let whole = format!("int(string(self).split('.')[0]) * {factor}");
    let digits = "string(self).split('.')[1].find('^[0-9]+')";
    let part = format!("int({digits}) * {factor}");
    let scale = format!("[10, 100, 1000, 10000, 100000, 1000000][{digits}.size() - 1]");
    let has_exact = format!("(string(self).matches(r'{decimal}') && ({part}) % {scale} == 0)");
    let exact = format!("[{whole} + {part} / {scale}].map(n, {exact})[0]");
    [
        (about, Rule::about(format!("({valid}) || {has_exact}"), &words.no(FIRST), &["self"])),
        (about, Rule::about(format!("!{has_exact}"), &words.instead_of(FIRST, SECOND), &["self", exact.as_str()])),
    ]
}

/// The integer with the largest binary unit that divides it.
fn with_unit(number: &str) -> String {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50)];
    units.into_iter().fold(format!("string({number})"), |smaller, (unit, shift)| {
        let factor = 1_u64 << shift;
        format!("({number} > 0 && {number} % {factor} == 0 ? {} : {smaller})", {
            format!("'%d{unit}'.format([{number} / {factor}])")
        })
    })
}

fn node() -> Rule {
    Rule::about(format!("self.size() <= 253 && self.matches(r'{NODE_NAME}')"), &words::no_node(FIRST), &["self"])
}

fn span() -> Rule {
    let cel = format!("string(self).matches(r'{SPAN}') && duration(string(self)) <= duration('{SPAN_HOURS_MAX}h')");
    Rule::about(cel, &words::SPAN.no(FIRST), &["self"])
}

fn unit_ref() -> [(&'static str, Rule); 3] {
    let kinds = format!("self.matches('^({})/')", Kind::WRITTEN.map(Kind::as_str).join("|"));
    let name = "self.substring(self.indexOf('/') + 1)";
    [
        ("UnitRef", Rule::about("self.contains('/')", &words::no_unit(FIRST), &["self"])),
        (
            "UnitRef",
            Rule::about(
                format!("!self.contains('/') || {kinds}"),
                &words::unknown_kind(FIRST),
                &["self.split('/')[0]"],
            ),
        ),
        ("UnitRef", Rule::about(format!("!{kinds} || ({})", is_name(name)), &words::no_name(FIRST), &[name])),
    ]
}
