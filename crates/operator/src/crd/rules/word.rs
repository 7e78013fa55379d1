//! Names, quantities and spans of time.

use crate::crd::rule::{FIRST, Rule, SECOND};
use abide_spec::{Kind, limits::SPAN_HOURS_MAX, words};

/// Of documents and what they refer to.
pub(super) const NAME: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// Of nodes: such names, with dots between them.
const NODE_NAME: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
/// Amounts of bytes.
pub(super) const BYTES: &str = "^[0-9]+(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$";
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
            decimal: "^[0-9]+[.][0-9]+(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$",
            number: "quantity(string(self)).asApproximateFloat()",
            exact: with_unit("int(n)"),
        },
    ));
    rules.extend(quantity(
        "Cpu",
        words::CPU,
        &Written {
            valid: format!("string(self).matches(r'{CPU}') && !string(self).matches('^0+m?$')"),
            decimal: "^[0-9]+[.][0-9]+$",
            number: "quantity(string(self) + 'k').asApproximateFloat()",
            exact: "'%dm'.format([int(n)])".to_owned(),
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
struct Written {
    /// An expression: it is one.
    valid: String,
    /// A pattern: it isn't, but if this many of the smallest unit are whole, there is an exact way to write it.
    decimal: &'static str,
    /// An expression: how many of the smallest unit a decimal is.
    number: &'static str,
    /// An expression of `n`, that number: how it is written.
    exact: String,
}

fn quantity(about: &'static str, words: words::Quantity, written: &Written) -> [(&'static str, Rule); 2] {
    let Written { valid, decimal, number, exact } = written;
    let has_exact = format!(
        "(string(self).matches(r'{decimal}') && [{number}].all(n, n < 9007199254740992.0 && double(int(n)) == n))"
    );
    let exact = format!("[{number}].map(n, {exact})[0]");
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
    let kinds = format!("self.matches('^({})/')", Kind::ALL.map(Kind::as_str).join("|"));
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
