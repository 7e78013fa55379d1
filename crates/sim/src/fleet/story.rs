//! One seeded history of a fleet: a storm of commits, cut links and crashes of the hub; then calm, in which a good commit
//! goes everywhere, a bad one is stopped, its fix goes everywhere, and who was away comes home.

use super::{
    hub::Hub,
    oracle::{Oracle, Rules},
    revision::{Health, Roster, revision, source},
};
use crate::rng::Rng;
use abide_reconcile::{Command, Complete, Event, GroupState, Limits, Look, Reconciler, Time, Wish};
use std::{collections::BTreeMap, sync::Arc};

const LIMITS: Limits = Limits {
    orders_max: 64,
    prepares_max: 64,
    silence_max: Time::from_secs(20),
    retry_min: Time::from_secs(1),
    retry_max: Time::from_secs(60),
    resync: Time::from_secs(60),
    steady: Time::from_secs(8),
    proof: Time::from_secs(3),
    proof_probed: Time::from_secs(3),
    // A machine tries often enough by itself.
    tries_max: 1,
    removals_max: 2,
    removals_percent_max: 30,
};
/// What happens within it happens at once.
const TICK_MS: u64 = 200;
const STORM_ENDS: Time = Time::from_secs(500);
/// Waves, each with its batches: time for the slowest machines in each of them.
const STAGE_MAX: Time = Time::from_secs(4_000);
const COMMANDS_MAX: u32 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Storm,
    /// A commit that works.
    Good,
    /// One that doesn't.
    Bad,
    /// One that works again.
    Fix,
    /// Who was away is back.
    Home,
}

struct Story {
    now: Time,
    rng: Rng,
    hub: Hub,
    roster: Roster,
    oracle: Oracle,
    agent: Reconciler,
    /// It led before, and doesn't know that it doesn't any more.
    rival: Option<Reconciler>,
    epoch: u64,
    generation: u64,
    /// The newest commit.
    revision: u64,
    /// Where the core looks.
    look: Look,
    wishes: BTreeMap<u64, Arc<Complete>>,
    stage: Stage,
    since: Time,
    /// When somebody last walked to where a commit cut machines off.
    repaired: Time,
    steps: u64,
    verbose: bool,
}

/// Plays a history with so many machines; the number of steps that were ordered, or what went wrong.
pub fn run(seed: u64, machines: usize, verbose: bool) -> Result<u64, String> {
    let mut rng = Rng::new(seed ^ 0xF1EE_7000);
    let roster = Roster::new(&mut rng, machines);
    let has_liars = rng.chance(1, 2);
    let mut story = Story {
        now: Time::ZERO,
        hub: Hub::new(rng.fork(), &roster, has_liars),
        roster,
        rng,
        oracle: Oracle::default(),
        agent: Reconciler::new(LIMITS, 1),
        rival: None,
        epoch: 1,
        generation: 0,
        revision: 0,
        look: Look::All,
        wishes: BTreeMap::new(),
        stage: Stage::Storm,
        since: Time::ZERO,
        repaired: Time::ZERO,
        steps: 0,
        verbose,
    };
    story.hub.lead(Time::ZERO, 1);
    story.play().map_err(|problem| format!("at {:?}, {:?}: {problem}", story.now, story.stage))?;
    Ok(story.steps)
}

impl Story {
    fn play(&mut self) -> Result<(), String> {
        self.wish(Health::Works);
        loop {
            self.obey()?;
            if self.rng.chance(1, 2_000) {
                self.compare_with_scratch()?;
            }
            let agents = self.rival.iter().chain([&self.agent]);
            let wakes = agents.filter_map(|agent| agent.wake_at(self.now));
            let next = wakes.chain(self.hub.next_at()).min();
            let next = next.ok_or("asleep for ever")?.min(self.now + Time::from_secs(5));
            let tick = (next.as_millis() as u64 / TICK_MS + 1) * TICK_MS;
            let before = self.now;
            self.now = Time::from_millis(tick);
            for event in self.hub.advance(self.now) {
                self.deliver(event);
            }
            let told = std::mem::take(&mut self.hub.told);
            self.oracle.watch(&self.hub, &told)?;
            self.oracle.check_taken(&std::mem::take(&mut self.hub.took))?;
            let is_second = before.as_secs() != self.now.as_secs();
            if !is_second {
                continue;
            }
            if self.stage != Stage::Bad && self.now >= self.repaired + Time::from_secs(60) {
                self.repaired = self.now;
                self.repair();
            }
            if self.stage == Stage::Storm {
                self.storm();
            } else if self.now.as_secs().is_multiple_of(5) && self.has_come_true() {
                self.obey()?;
                self.compare_with_scratch()?;
                if self.stage == Stage::Home {
                    return Ok(());
                }
                self.next_stage();
            } else if self.now > self.since + STAGE_MAX {
                return Err(self.complain());
            }
        }
    }

    fn obey(&mut self) -> Result<(), String> {
        let mut commands = 0;
        while let Some(command) = self.agent.poll(self.now) {
            commands += 1;
            if commands > COMMANDS_MAX {
                return Err("poll never ends".to_owned());
            }
            if self.verbose {
                let text: String = format!("{command:?}").chars().take(240).collect();
                println!("{:>9.2?} {text}", self.now);
            }
            let under = self.agent.in_force(&source()).map_or(0, |accepted| accepted.generation);
            if let Command::Observe { what, .. } = &command {
                self.look = what.clone();
            }
            if let Command::Run { unit, step, .. } = &command {
                self.steps += 1;
                self.oracle.order(&self.hub, under, unit, step)?;
            }
            self.hub.start(self.now, command, under);
        }
        if let Some(rival) = &mut self.rival {
            let mut orders = std::iter::from_fn(|| rival.poll(self.now)).take(COMMANDS_MAX as usize);
            orders.by_ref().for_each(|command| self.hub.start(self.now, command, 0));
        }
        Ok(())
    }

    /// What happens is told to whom it concerns.
    fn deliver(&mut self, event: Event) {
        let epoch = match &event {
            Event::Seen { ticket, .. } | Event::Blind(ticket) => Some(ticket.epoch),
            Event::Done { ticket, .. } | Event::Accepted { ticket, .. } => Some(ticket.epoch),
            _ => None,
        };
        if let Some(rival) = &mut self.rival
            && epoch != Some(self.epoch)
        {
            rival.handle(self.now, event.clone());
        }
        if epoch.is_none_or(|epoch| epoch == self.epoch) {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        if let Event::Seen { world, .. } = &event {
            self.oracle.show(&self.hub, &self.look, world);
        } else if self.verbose {
            println!("{:>9.2?}   {event:?}", self.now);
        }
        self.agent.handle(self.now, event);
    }

    /// A new commit, of this kind.
    fn wish(&mut self, health: Health) {
        self.revision += 1;
        self.hub.healths.insert(self.revision, health);
        self.wish_again();
    }

    /// The same commit, with the rules of today.
    fn wish_again(&mut self) {
        self.generation += 1;
        let Roster { unavailable_max, away, paused, ref left_out, ref wave_of, ref bad_max, .. } = self.roster;
        let (left_out, wave_of, bad_max) = (left_out.clone(), wave_of.clone(), bad_max[0]);
        let rules = Rules { unavailable_max, away, paused, revision: self.revision, left_out, wave_of, bad_max };
        let wish = Arc::new(self.roster.wish(self.revision));
        self.wishes.insert(self.generation, Arc::clone(&wish));
        if self.verbose {
            println!(
                "{:>9.2?} COMMIT {} {:?} {:?}",
                self.now, self.revision, self.hub.healths[&self.revision], self.roster
            );
        }
        self.oracle.rules.insert(self.generation, rules);
        self.tell(Event::Wish { source: source(), generation: self.generation, wish: Wish::Complete(wish) });
    }

    fn storm(&mut self) {
        if self.now >= STORM_ENDS {
            return self.calm();
        }
        let size = self.roster.ids.len() as u64;
        for _ in 0..size / 300 + 1 {
            let machine = self.rng.below(size) as usize;
            match self.rng.below(20) {
                0..4 if self.hub.machines[machine].is_linked => {
                    let seconds = 5 + self.rng.below(200);
                    self.hub.cut(self.now, machine, seconds);
                }
                4 => self.hub.stumble(self.now, machine),
                5 => self.hub.link(self.now, machine, true),
                6 => self.hub.suspend(self.now, machine, true),
                7 | 8 => self.hub.suspend(self.now, machine, false),
                9 => self.retry(machine),
                _ => {}
            }
        }
        if self.rng.chance(1, 80) {
            self.wish_anything(size);
        }
        if self.rng.chance(1, 100) {
            self.hub.back_up();
        }
        if self.rng.chance(1, 100) {
            self.rival = None;
        }
        if self.rng.chance(1, 50) {
            match self.rng.below(6) {
                0 => self.restore(),
                1..4 => self.take_over(),
                _ => self.restart(),
            }
        }
    }

    /// A person wants it tried again: that is written before the core hears of it.
    fn retry(&mut self, machine: usize) {
        self.hub.forgive(machine);
        self.tell(Event::Retry(self.roster.ids[machine].clone()));
    }

    /// A commit, good or bad; or other rules for it.
    fn wish_anything(&mut self, size: u64) {
        let machine = self.rng.below(size) as usize;
        match self.rng.below(8) {
            0 => self.roster.paused = true,
            1 => self.roster.unavailable_max = 1 + self.rng.below(size / 4) as usize,
            2 => drop(self.roster.left_out.insert(machine)),
            3 => self.roster.left_out.clear(),
            4 => self.roster.wave_of[machine] = self.rng.below(3) as usize,
            _ => {
                self.roster.paused = false;
                let bad = Health::BAD[self.rng.below(5) as usize];
                let health = if self.rng.chance(1, 2) { Health::Works } else { bad };
                return self.wish(health);
            }
        }
        self.wish_again();
    }

    /// The hub dies and is started again.
    fn restart(&mut self) {
        self.rival = None;
        self.hub.crash();
        self.lead();
    }

    /// Another process leads, while the one before goes on.
    fn take_over(&mut self) {
        self.rival = Some(self.lead());
    }

    /// The hub dies, and is started again on an old backup of its database.
    fn restore(&mut self) {
        if self.hub.restore(self.now) {
            self.rival = None;
            self.oracle.forget_all();
            self.lead();
        }
    }

    /// A new process leads, as the database has it; who led before.
    fn lead(&mut self) -> Reconciler {
        self.epoch += 1;
        let before = std::mem::replace(&mut self.agent, Reconciler::new(LIMITS, self.epoch));
        self.hub.lead(self.now, self.epoch);
        self.oracle.restart();
        let newest = self.generation;
        if let Some(accepted) = self.hub.accepted.clone() {
            let generation = accepted.generation;
            let wish = Wish::Complete(Arc::clone(&self.wishes[&generation]));
            self.tell(Event::Restored { source: source(), accepted });
            self.tell(Event::Wish { source: source(), generation, wish });
        }
        let wish = Wish::Complete(Arc::clone(&self.wishes[&newest]));
        self.tell(Event::Wish { source: source(), generation: newest, wish });
        before
    }

    /// Nothing goes wrong any more that isn't a commit's fault. Some are away, and liars lie on.
    fn calm(&mut self) {
        self.hub.is_calm = true;
        self.stage = Stage::Good;
        self.since = self.now;
        let size = self.roster.ids.len();
        self.roster.paused = false;
        self.roster.left_out.clear();
        let is_away = |machine: &usize| machine % 50 == 7;
        for machine in 0..size {
            self.hub.suspend(self.now, machine, false);
            self.hub.link(self.now, machine, !is_away(&machine));
        }
        // Who is down for good takes a place for good: where there are no more, nobody else gets one.
        let lost = (0..size).filter(|machine| is_away(machine) || !self.hub.machines[*machine].is_honest()).count();
        let unavailable_max = size / 10 + self.rng.below(size as u64 / 8) as usize;
        self.roster.unavailable_max = unavailable_max.max(lost + 1);
        // A wave can't pass without anybody who proves it.
        let honest = (0..size).filter(|machine| !is_away(machine) && self.hub.machines[*machine].is_honest());
        honest.take(6).enumerate().for_each(|(n, machine)| self.roster.wave_of[machine] = n % 3);
        let is_liar = |wave: usize| {
            let members = (0..size).filter(|machine| self.roster.wave_of[*machine] == wave);
            members.filter(|machine| !self.hub.machines[*machine].is_honest()).count()
        };
        // With as many liars as may be bad it rolls, with one that may not be it stops.
        self.roster.bad_max = (0..3).map(is_liar).collect();
        self.wish(Health::Works);
    }

    fn next_stage(&mut self) {
        self.since = self.now;
        match self.stage {
            Stage::Storm => {}
            Stage::Good => {
                self.stage = Stage::Bad;
                let health = Health::BAD[self.rng.below(5) as usize];
                self.wish(health);
            }
            Stage::Bad => {
                self.stage = Stage::Fix;
                self.wish(Health::Works);
            }
            Stage::Fix => {
                self.stage = Stage::Home;
                for machine in 0..self.roster.ids.len() {
                    self.hub.link(self.now, machine, true);
                }
            }
            Stage::Home => {}
        }
        match self.rng.below(8) {
            0 => self.restore(),
            1 => self.take_over(),
            2..5 => self.restart(),
            _ => {}
        }
    }

    /// Somebody walked to the machines that a commit cut off.
    fn repair(&mut self) {
        for machine in 0..self.roster.ids.len() {
            let it = &mut self.hub.machines[machine];
            let was_severed = !it.is_linked && self.hub.healths.get(&it.runs) == Some(&Health::Severs);
            if was_severed && machine % 50 != 7 {
                (it.runs, it.is_ready, it.took) = (it.before, true, None);
                self.oracle.begin_anew(machine);
                self.hub.link(self.now, machine, true);
            }
        }
    }

    /// Every honest machine in reach is where the stage wants it.
    fn has_come_true(&self) -> bool {
        let is_stopped = |state| matches!(state, GroupState::Stopped(_));
        let groups = self.agent.groups();
        let is_over = match self.stage {
            Stage::Bad => groups.iter().all(|group| is_stopped(group.state)),
            _ => groups.iter().all(|group| group.state == GroupState::Passed),
        };
        is_over && self.strays().next().is_none() && self.hub.is_quiet()
    }

    fn strays(&self) -> impl Iterator<Item = usize> {
        let stopped = self.agent.groups().iter().find_map(|group| match group.state {
            GroupState::Stopped(wave) => Some(wave),
            _ => None,
        });
        let reached = (0..self.roster.ids.len()).filter(|machine| {
            let it = &self.hub.machines[*machine];
            it.is_linked && it.is_honest()
        });
        reached.filter(move |machine| !self.is_home(*machine, stopped))
    }

    /// The machine is where the stage wants it.
    fn is_home(&self, machine: usize, stopped: Option<usize>) -> bool {
        let it = &self.hub.machines[machine];
        let good = self.hub.rows[machine].good.as_ref().map(|good| revision(good));
        let is_right = match self.stage {
            // Who has no last good commit can't go back to it; and what fails here and there may have passed the waves
            // before the one that stopped it.
            Stage::Bad if good.is_none() => return true,
            Stage::Bad => it.runs != self.revision || stopped > Some(self.roster.wave_of[machine] + 1),
            _ => it.runs == self.revision && good == Some(it.runs),
        };
        is_right && it.is_ready
    }

    /// A plan that is kept up to date must be the one that is made from nothing.
    fn compare_with_scratch(&mut self) -> Result<(), String> {
        let kept = self.agent.plan();
        let made = self.agent.plan_from_scratch(self.now);
        if kept == made {
            return Ok(());
        }
        let other = kept.waiting.iter().find(|(unit, why)| made.waiting.get(*unit) != Some(*why));
        Err(format!("the plan is out of date: {other:?}; {:?}", self.agent.groups()))
    }

    fn complain(&self) -> String {
        // Who is down takes the places of who waits.
        let mut strays: Vec<usize> = self.strays().collect();
        strays.sort_by_key(|machine| self.hub.rows[*machine].serving().is_some());
        let first = strays.first().map(|machine| (&self.hub.machines[*machine], &self.hub.rows[*machine]));
        let status = strays.first().and_then(|machine| self.agent.unit_status(self.now, &self.roster.ids[*machine]));
        let count = strays.len();
        format!("{count} not on {}: {first:#?} {status:#?} {:#?}", self.revision, self.agent.groups())
    }
}
