//! One seeded history: a storm of faults and wishes, then calm, in which everything must settle; then other wishes, which
//! must come true as it was foretold.

use crate::{
    ending,
    forecast::Forecast,
    oracle::{History, InForce, Known, Oracle, Told},
    report,
    rng::Rng,
    wishes,
    world::{Faults, World},
};
use abide_reconcile::{Command, Event, Limits, Plan, Reconciler, SourceId, Ticket, Time, UnitId, Why, Wish, preview};
use std::{collections::BTreeMap, sync::Arc};

const LIMITS: Limits = Limits {
    orders_max: 4,
    prepares_max: 2,
    silence_max: Time::from_secs(20),
    retry_min: Time::from_secs(1),
    retry_max: Time::from_secs(60),
    resync: Time::from_secs(30),
    steady: Time::from_secs(8),
    proof: Time::from_secs(5),
    proof_probed: Time::from_secs(3),
    tries_max: 2,
    removals_max: 2,
    removals_percent_max: 30,
};
const STORM_ENDS: Time = Time::from_secs(400);
/// Twice the slowest order, a full back-off, and chains of units to replace one by one.
const SETTLED_BY: Time = Time::from_secs(1_650);
/// A fresh agent takes over a settled world here, and must leave it alone.
const LAST_RESTART: Time = Time::from_secs(1_700);
const ENDS: Time = Time::from_secs(1_760);
/// More commands than this without time passing is a loop.
const COMMANDS_MAX: u32 = 60;
const ROUNDS_MAX: u32 = 40_000;

struct Story {
    now: Time,
    rng: Rng,
    world: World,
    oracle: Oracle,
    agent: Reconciler,
    epoch: u64,
    told: Told,
    /// The look under way, and when it was asked for.
    look: Option<(Ticket, Time)>,
    /// When the look was asked for that the agent knows a unit by.
    seen_at: BTreeMap<UnitId, Time>,
    history: History,
    /// What each source would say if asked, and under which generation.
    wishes: BTreeMap<SourceId, (u64, Wish)>,
    /// What was foretold of the last wishes.
    forecast: Option<Forecast>,
    /// The plan that the core's report was last held against.
    reported: Plan,
    verbose: bool,
    steps: u64,
}

/// Plays a history; the number of steps that were ordered, or what went wrong.
pub fn run(seed: u64, verbose: bool) -> Result<u64, String> {
    let mut rng = Rng::new(seed);
    let mut story = Story {
        now: Time::ZERO,
        world: World::new(rng.fork(), Faults::STORM),
        oracle: Oracle::new(LIMITS),
        agent: Reconciler::new(LIMITS, 1),
        epoch: 1,
        told: Told::new(),
        look: None,
        seen_at: BTreeMap::new(),
        history: History::new(),
        wishes: BTreeMap::new(),
        rng,
        forecast: None,
        reported: Plan::default(),
        verbose,
        steps: 0,
    };
    for source in wishes::sources() {
        let wish = Wish::Complete(Arc::new(wishes::random(&mut story.rng, &source, true)));
        story.wishes.insert(source, (1, wish));
    }
    story.play().map_err(|problem| format!("at {:?}: {problem}", story.now))?;
    Ok(story.steps)
}

impl Story {
    fn play(&mut self) -> Result<(), String> {
        let (mut is_calm, mut is_last, mut settled) = (false, false, None);
        for round in 0.. {
            let issued = self.obey()?;
            if issued > 0 && settled.is_some() {
                return Err("steps after settling".to_owned());
            }
            self.compare_with_scratch()?;
            let wake = self.agent.wake_at(self.now);
            if wake.is_some_and(|at| at <= self.now) || round > ROUNDS_MAX {
                return Err("spinning".to_owned());
            }
            let Some(next) = wake.into_iter().chain(self.world.next_at()).min() else {
                return Err("asleep for ever".to_owned());
            };
            if next >= ENDS {
                break;
            }
            self.now = next.max(self.now);
            for event in self.world.advance(self.now) {
                self.tell(event);
            }
            self.watch()?;
            if self.world.is_anything_failing() {
                let in_force = self.in_force();
                self.oracle.check_failing(self.now, &self.world, &in_force)?;
            }
            if self.now < STORM_ENDS {
                self.storm();
            } else if !is_calm {
                is_calm = true;
                self.calm();
            } else if self.now >= LAST_RESTART && !is_last {
                if settled.is_none() {
                    return Err(format!("not settled: {:#?}", self.agent.plan()));
                }
                is_last = true;
                self.restart();
                self.tell_all();
            }
            self.permit(if is_calm { 300 } else { 10 });
            if is_calm && settled.is_none() && self.is_settled() {
                settled = self.finish()?;
            }
        }
        match settled {
            Some(at) if at < SETTLED_BY => ending::check(&self.told, &self.world),
            _ => Err(format!("settled: {settled:?}; {:#?}", self.agent.plan().waiting)),
        }
    }

    /// Carries out what the agent commands; returns the number of steps.
    fn obey(&mut self) -> Result<u32, String> {
        let (mut steps, mut commands) = (0, 0);
        while let Some(command) = self.agent.poll(self.now) {
            commands += 1;
            if commands > COMMANDS_MAX {
                return Err("poll never ends".to_owned());
            }
            if self.verbose {
                println!("{:>9.2?} {}", self.now, describe(&command));
            }
            if let Command::Run { unit, step, .. } = &command {
                steps += 1;
                let known = Known { in_force: self.in_force(), seen_at: self.seen_at.get(unit).copied() };
                self.oracle.order(self.now, &self.world, &known, &self.history, unit, step)?;
            }
            if let Command::Observe { ticket, .. } = &command {
                self.look = Some((*ticket, self.now));
            }
            self.world.start(self.now, command);
        }
        self.steps += u64::from(steps);
        Ok(steps)
    }

    /// What the agent acts on: of each source the wish in force, and whether it is the last word.
    fn in_force(&self) -> InForce {
        let wish = |source: &SourceId| {
            let generation = self.agent.in_force(source)?.generation;
            let wish = self.history.get(&(source.clone(), generation))?;
            let is_last_word = self.told.get(source).is_some_and(|(told, wish)| *told == generation && wish.is_some());
            Some((source.clone(), (Arc::clone(wish), is_last_word)))
        };
        wishes::sources().iter().filter_map(wish).collect()
    }

    /// A plan that is kept up to date must be the one that is made from nothing.
    fn compare_with_scratch(&mut self) -> Result<(), String> {
        let kept = self.agent.plan();
        let made = self.agent.plan_from_scratch(self.now);
        if kept != made {
            return Err(format!("the plan is out of date: {kept:#?}\nshould be {made:#?}"));
        }
        if kept != self.reported {
            self.oracle.check_asked(&kept, &self.told)?;
            report::check(&self.agent, self.now, &kept)?;
            self.reported = kept;
        }
        Ok(())
    }

    fn watch(&mut self) -> Result<(), String> {
        for landed in std::mem::take(&mut self.world.landed) {
            if let Some(forecast) = &mut self.forecast {
                forecast.check(&landed)?;
            }
            self.oracle.note_landed(&self.world, &self.history, &landed)?;
        }
        self.oracle.watch(&self.world)
    }

    /// All is settled for the first time: there are other wishes. For the second time: it is the end.
    fn finish(&mut self) -> Result<Option<Time>, String> {
        if let Some(forecast) = self.forecast.take() {
            forecast.check_end(&self.world)?;
            return Ok(Some(self.now));
        }
        let mut forecast = Forecast::default();
        self.wish_anew();
        for (source, (_, wish)) in &self.wishes {
            if let Wish::Complete(wish) = wish {
                forecast.add(source, preview(&self.agent, source, wish));
            }
        }
        self.tell_all();
        self.obey()?;
        forecast.check_held(&self.agent.plan())?;
        self.forecast = Some(forecast);
        Ok(None)
    }

    fn storm(&mut self) {
        for source in wishes::sources() {
            if self.rng.chance(1, 250) {
                let generation = self.wishes[&source].0 + 1;
                let wish = match self.rng.below(10) {
                    0 => Wish::Refused("line 3".into()),
                    1 => Wish::Withdrawn,
                    _ => Wish::Complete(Arc::new(wishes::random(&mut self.rng, &source, true))),
                };
                let stale = self.wishes.insert(source.clone(), (generation, wish));
                self.tell_wish(&source);
                // Sources repeat themselves, and not always in order.
                let (generation, wish) = stale.expect("every source has said something");
                self.tell(Event::Wish { source, generation, wish });
            } else if !self.told.contains_key(&source) && self.rng.chance(1, 30) {
                self.tell_wish(&source);
            }
        }
        if self.rng.chance(1, 100) {
            let [one, other] = wishes::sources();
            let source = if self.rng.chance(1, 2) { one } else { other };
            self.world.turn_up(self.now, &source);
        }
        if self.rng.chance(1, 400) {
            let unit = self.world.units.keys().next().cloned();
            unit.into_iter().for_each(|unit| self.tell(Event::Retry(unit)));
        }
        if self.rng.chance(1, 250) {
            self.restart();
        } else if self.rng.chance(1, 800) {
            self.world.reboot();
            self.oracle.reboot();
            self.restart();
        }
    }

    /// The agent dies and is started again. It knows what it accepted, and hears from its sources later, or at once.
    fn restart(&mut self) {
        self.epoch += 1;
        self.agent = Reconciler::new(LIMITS, self.epoch);
        self.told.clear();
        self.seen_at.clear();
        self.world.forget_caller();
        for (source, accepted) in self.world.accepted.clone() {
            let generation = accepted.generation;
            self.tell(Event::Restored { source: source.clone(), accepted });
            let Some(wish) = self.history.get(&(source.clone(), generation)).cloned() else { continue };
            if self.rng.chance(3, 4) {
                self.told.insert(source.clone(), (generation, Some(Arc::clone(&wish))));
                self.tell(Event::Wish { source, generation, wish: Wish::Complete(wish) });
            }
        }
    }

    fn calm(&mut self) {
        self.world.calm();
        self.wish_anew();
        self.tell_all();
    }

    /// Wishes that work.
    fn wish_anew(&mut self) {
        for source in wishes::sources() {
            let generation = self.wishes[&source].0 + 1;
            let wish = Wish::Complete(Arc::new(wishes::random(&mut self.rng, &source, false)));
            self.wishes.insert(source, (generation, wish));
        }
    }

    fn tell_all(&mut self) {
        for source in wishes::sources() {
            self.tell_wish(&source);
        }
    }

    fn tell_wish(&mut self, source: &SourceId) {
        let (generation, wish) = self.wishes[source].clone();
        let complete = match &wish {
            Wish::Complete(complete) => Some(Arc::clone(complete)),
            Wish::Refused(_) | Wish::Withdrawn => None,
        };
        if let Some(complete) = &complete {
            self.history.insert((source.clone(), generation), Arc::clone(complete));
        }
        self.told.insert(source.clone(), (generation, complete));
        self.tell(Event::Wish { source: source.clone(), generation, wish });
    }

    fn tell(&mut self, event: Event) {
        if self.verbose && !matches!(event, Event::Seen { .. }) {
            println!("{:>9.2?}   {event:?}", self.now);
        }
        if let (Event::Seen { ticket, world }, Some((look, asked))) = (&event, self.look)
            && *ticket == look
        {
            self.seen_at.extend(world.units.keys().map(|unit| (unit.clone(), asked)));
        }
        self.agent.handle(self.now, event);
    }

    /// A person reads what is asked, and says yes, or says nothing.
    fn permit(&mut self, permille: u64) {
        if self.rng.chance(permille, 1000) {
            let plan = self.agent.plan();
            for permit in plan.held.into_values().chain(plan.late.into_values()) {
                self.oracle.permit(&permit);
                self.world.permits.insert(Arc::new(permit));
            }
        }
    }

    fn is_settled(&self) -> bool {
        let plan = self.agent.plan();
        let is_final = |why: &Why| matches!(why, Why::Rejected(_));
        let nothing = plan.steps.is_empty() && plan.held.is_empty() && plan.late.is_empty();
        nothing
            && plan.waiting.values().all(is_final)
            && self.world.is_quiet()
            && self.world.is_complete()
            && ending::check(&self.told, &self.world).is_ok()
    }
}

fn describe(command: &Command) -> String {
    match command {
        Command::Run { ticket, unit, step, .. } => {
            let step: String = format!("{step:?}").chars().take(150).collect();
            format!("{ticket} {unit} {step}")
        }
        other => format!("{other:?}"),
    }
}
