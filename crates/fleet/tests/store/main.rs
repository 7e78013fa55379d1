//! The store of a hub, the same on each database that it can be in.

#![expect(clippy::unwrap_used, reason = "tests")]

mod calls;
mod given;
mod power_cut;
mod property;
mod races;
mod trouble;

use abide_fleet::store::{Store, open};
use abide_lab::Postgres;
use std::sync::Arc;

/// A database for one test, and how to open the store in it once more.
trait Place: Sync {
    fn name(&self) -> String;

    /// Runs a statement past the store.
    fn run(&self, sql: &str);

    fn open(&self) -> Arc<dyn Store> {
        open(&self.name()).unwrap()
    }
}

/// A file in a folder that goes with it.
struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Place for File {
    fn name(&self) -> String {
        self.0.path().join("hub.sqlite").display().to_string()
    }

    fn run(&self, sql: &str) {
        rusqlite::Connection::open(self.name()).unwrap().execute_batch(sql).unwrap();
    }
}

/// A database of a server that other tests use, too.
struct Served(Arc<Postgres>, String);

impl Served {
    fn new() -> Self {
        let server = Postgres::shared();
        let database = server.database();
        Self(server, database)
    }
}

impl Place for Served {
    fn name(&self) -> String {
        self.0.url(&self.1)
    }

    fn run(&self, sql: &str) {
        self.0.query(&self.1, sql);
    }
}

/// The same tests on each.
macro_rules! on_each {
    ($($module:ident::$test:ident)*) => {
        mod sqlite {
            $(#[test] fn $test() { crate::$module::$test(&crate::File::new()); })*
        }

        mod postgres {
            $(#[test] fn $test() { crate::$module::$test(&crate::Served::new()); })*
        }
    };
}

on_each! {
    calls::tokens_are_kept_until_they_are_removed
    calls::a_token_lets_in_as_many_as_it_says
    calls::whoever_may_not_is_told_why
    calls::a_lost_answer_costs_no_use
    calls::a_revoked_machine_comes_back_with_new_keys_and_later_numbers
    calls::an_old_backup_learns_what_it_forgot
    calls::certificates_are_renewed_and_adopted
    calls::labels_are_set_and_taken_away
    calls::changes_are_told_once
    calls::what_is_no_news_writes_nothing
    calls::reports_are_kept_with_what_happened
    calls::who_was_away_proves_anew_that_it_is_ready
    calls::targets_are_written_by_the_leader_at_the_version_it_saw
    calls::numbers_are_given_once
    calls::a_lead_is_kept_ended_and_taken
    calls::what_a_term_decided_stays_and_what_comes_after_it_does_not
    calls::journals_are_frames_in_order
    calls::pauses_are_followed
    calls::what_is_to_be_tried_again_is_followed
    calls::hubs_that_fell_silent_are_forgotten
    calls::all_of_it_is_there_after_a_restart
    calls::odd_texts_come_back
    races::a_token_of_three_uses_lets_in_three
    races::one_leads
    races::who_follows_misses_nothing
    races::a_machine_is_told_one_thing
    races::many_are_told_at_once
    races::many_come_at_once
    trouble::a_later_form_is_refused
    trouble::what_is_not_ours_is_damage_and_no_panic
}
