//! `simulate`: a cutover by chance in virtual time, for engineers who doubt a rule.

use std::fmt::Write as _;

use clap::Args;

use super::exit::{BROKEN, OK};
use super::output::print;
use crate::routes::create::rules::Rules;
use crate::simulate::{self, Counts, Outcome, Violation};
use crate::telemetry::format::count;

pub(super) const ABOUT: &str = "\
Search for a counterexample to the guarantee of docs/money-safety.md. Nothing is sent.

Plays creates, retries, gets, lists, cancels, changes of stage, crashes, restored ledgers, lags and lost answers in virtual time, around the \
code that serves them, and checks every promise after every step. The same seed gives the same trace, whose hash is the last line, on every \
machine. A broken promise is printed with the shortest trace that was found, in words.

  conversion-shim simulate --seed 1 --steps 1000000";

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Seed of everything that happens
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Steps to play; the last world is played to its end
    #[arg(long, default_value_t = 100_000, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Rule of the create protocol to switch off
    #[cfg(feature = "mutants")]
    #[arg(long, value_name = "NAME", value_parser = rule)]
    mutant: Option<crate::routes::create::rules::Rule>,
}

#[cfg(feature = "mutants")]
fn rule(name: &str) -> Result<crate::routes::create::rules::Rule, String> {
    use crate::routes::create::rules::Rule;

    let names = || Rule::ALL.map(|rule| format!("{rule:?}")).join(", ");
    let found = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == name);
    found.ok_or_else(|| format!("no such rule; the rules are {}", names()))
}

impl SimulateArgs {
    #[cfg(feature = "mutants")]
    fn rules(&self) -> Rules {
        self.mutant.map_or(Rules::ALL, Rules::without)
    }

    #[cfg(not(feature = "mutants"))]
    fn rules(&self) -> Rules {
        Rules::ALL
    }
}

pub(super) fn run(arguments: &SimulateArgs) -> u8 {
    let SimulateArgs { seed, steps, .. } = arguments;
    let outcome = simulate::run(*seed, *steps, arguments.rules());
    let code = if outcome.violation.is_some() { BROKEN } else { OK };
    print(&text(*seed, &outcome), code)
}

fn text(seed: u64, outcome: &Outcome) -> String {
    let Outcome { steps, worlds, counts, hash, violation } = outcome;
    let Counts { creates, conversions, gets, pages, listings, stages, crashes, restores, walks } = *counts;
    let mut out = format!("seed {seed}: {} steps in {} worlds\n", count(*steps), count(*worlds));
    for (what, number) in [
        ("creates", creates),
        ("conversions made", conversions),
        ("gets and cancels", gets),
        ("pages of lists", pages),
        ("listings compared", listings),
        ("changes of stage", stages),
        ("crashes", crashes),
        ("ledgers restored", restores),
        ("walks", walks),
    ] {
        let _ = writeln!(out, "  {what:<18} {:>10}", count(number));
    }
    match violation {
        None => out.push_str("every promise held after every step\n"),
        Some(violation) => describe(violation, &mut out),
    }
    let _ = writeln!(out, "trace hash {hash}");
    out
}

fn describe(violation: &Violation, out: &mut String) {
    let Violation { broken, setting, trace, found_after } = violation;
    let _ = writeln!(out, "\nA PROMISE IS BROKEN: {broken}");
    let _ = writeln!(out, "found after {found_after} events of its world, shrunk to {}:\n", trace.len());
    let _ = writeln!(out, "The world: {setting}");
    for (number, happened) in trace.iter().enumerate() {
        let _ = writeln!(out, "{:>3}. {happened}", number + 1);
    }
    out.push('\n');
}
