//! What the core costs: all planning between a wish and the world that it wishes for, against a world that obeys at once.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::{Spread, thread_time},
};
use abide_sim::cost::{self, Costs};
use std::time::Duration;

pub(crate) const ROW: Row =
    Row { name: "planning", what: "planning 10,000 units, and what ten times as many cost (CPU)", measure };

const UNITS: usize = 10_000;
const TURNS: usize = 5;
/// Of the many units, which take a while.
const TURNS_MANY: usize = 3;
/// How much more ten times as many units may cost.
const GROWTH_MAX: f64 = 15.0;

type Part = fn(&Costs) -> Duration;

fn measure() -> Result<Vec<Figure>, Problem> {
    let few: Vec<Costs> = (0..TURNS).map(|_| cost::measure(UNITS, &thread_time)).collect();
    let many: Vec<Costs> = (0..TURNS_MANY).map(|_| cost::measure(UNITS * 10, &thread_time)).collect();
    let kinds: [(_, Part, _); 4] = [
        ("a full look without change", |costs| costs.look, 10.0),
        ("bring-up", |costs| costs.bring_up, 1_000.0),
        ("replace all", |costs| costs.replace, 1_000.0),
        ("remove all", |costs| costs.remove, 1_000.0),
    ];
    let mut figures = Vec::new();
    for (what, part, at_most) in kinds {
        let spread = Spread::of_times(few.iter().map(part));
        let growth = Spread::of(many.iter().map(|many| part(many).as_secs_f64() / spread.median).collect());
        let figure = Figure::new(format!("10,000 units: {what}"), Unit::Milliseconds, spread);
        figures.push(figure.at_most(Statistic::Median, at_most));
        let figure = Figure::new(format!("100,000 units, against that: {what}"), Unit::Times, growth);
        figures.push(figure.at_most(Statistic::Median, GROWTH_MAX));
    }
    let one_change = Spread::of_times(few.iter().map(|costs| costs.one_change));
    figures.push(Figure::new("10,000 units: one of them changes", Unit::Milliseconds, one_change));
    Ok(figures)
}
