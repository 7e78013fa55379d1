//! Whether what the hub tells is of the newest commit there is: nobody who pushed just now wants to hear of the one before.
//!
//! The hub is had to ask its repository, and what it tells is waited for until it is about what it found. Of several
//! processes the one that is asked looks; the one that leads, which decides, notices the same by itself a little later.

use abide_fleet::admin::rollout::{Looked, Rollouts};

/// What was looked for so far.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// What was told when the repository was asked last, and what came of that.
    last: Option<(String, Looked)>,
    /// The newest commit of which was told then.
    newest: String,
}

/// What to do about what the hub tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Have it ask its repository.
    Ask,
    /// Wait until it tells of what it found.
    Wait,
    /// Believe it.
    Believe,
    /// The same, for want of better: why the repository wasn't heard.
    Unheard(String),
}

impl Looks {
    /// Judges what is told.
    pub(super) fn judge(&self, now: &Rollouts) -> Next {
        let Some((then, Looked { commit, trouble, .. })) = &self.last else { return Next::Ask };
        let tip = tip(now);
        match now.state.as_str() {
            _ if trouble.is_empty() && tip == commit => Next::Believe,
            _ if tip != then => Next::Ask,
            _ if !trouble.is_empty() => Next::Unheard(trouble.clone()),
            "following" | "refused" | "held" | "unreachable" => Next::Wait,
            // It takes no commits for now.
            _ => Next::Believe,
        }
    }

    /// Whether the repository was not asked since this was told first.
    pub(super) fn is_due(&self, now: &Rollouts) -> bool {
        self.last.as_ref().is_none_or(|(then, _)| then != tip(now) || self.newest != now.newest)
    }

    /// Takes what came of a look.
    pub(super) fn take(&mut self, now: &Rollouts, looked: Looked) {
        self.last = Some((tip(now).to_owned(), looked));
        self.newest.clone_from(&now.newest);
    }
}

/// Where the branch was when what is told was decided.
fn tip(now: &Rollouts) -> &str {
    if now.tip.is_empty() { &now.newest } else { &now.tip }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_believed_when_it_is_of_the_newest_commit() {
        let away = "the repository is away";
        // Told when it was asked last; found then, or why not; told now: tip, newest and state.
        let stories = [
            (None, ("one", "one", "following"), Next::Ask),
            (Some(("one", "one", "")), ("one", "one", "following"), Next::Believe),
            (Some(("one", "two", "")), ("one", "one", "following"), Next::Wait),
            (Some(("one", "two", "")), ("two", "two", "refused"), Next::Believe),
            // It waits for a tag.
            (Some(("one", "two", "")), ("two", "one", "following"), Next::Believe),
            // Another one was pushed meanwhile.
            (Some(("one", "two", "")), ("three", "three", "following"), Next::Ask),
            (Some(("one", "one", away)), ("one", "one", "following"), Next::Unheard(away.to_owned())),
            // Who leads can't reach it, or can again and has yet to say so.
            (Some(("one", "two", "")), ("one", "one", "unreachable"), Next::Wait),
            (Some(("one", "two", "")), ("one", "one", "suspended"), Next::Believe),
            // There is no branch, or a hub of another release leads.
            (Some(("", "", "")), ("", "", "refused"), Next::Believe),
            (Some(("one", "two", "")), ("", "two", "following"), Next::Believe),
        ];
        for (last, (tip, newest, state), next) in stories {
            let now = Rollouts {
                tip: tip.to_owned(),
                newest: newest.to_owned(),
                state: state.to_owned(),
                ..Rollouts::default()
            };
            let last = last.map(|(then, commit, trouble): (&str, &str, &str)| {
                (
                    then.to_owned(),
                    Looked { commit: commit.to_owned(), trouble: trouble.to_owned(), ..Looked::default() },
                )
            });
            assert_eq!(Looks { last, ..Looks::default() }.judge(&now), next, "{now:?}");
        }
    }
}
