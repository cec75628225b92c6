//! `gate`: what the step to a stage needs, each condition with its number.

use clap::Args;
use serde_json::json;

use super::check;
use super::config_args::ConfigArgs;
use super::exit::{NO_GO, OK};
use super::ledger::{answer, named, no_ledger};
use super::output::{Format, block_on, json_line, table};
use crate::config::Stage;
use crate::config::load::examine;
use crate::gate::{self, Condition};
use crate::ledger::effective_modes::progress_of_record;
use crate::ledger::reload_guard::identity_of;
use crate::ledger::{Identity, OpenError, Reader};

pub(super) const ABOUT: &str = "\
Print what the step to a stage needs, each condition with its number, met or missing.

Asks the ledger of the config and changes nothing. A stage at or behind the furthest on record needs nothing, and going back never does; \
a stage that reads the old API alone is refused once the ledger is open for creates on the new one. Exit code 0: every condition is met. 6: at least one is missing. `--config -` \
reads standard input. For a pipeline, before it applies the next config:

  conversion-shim gate --config config.toml --to canary
  conversion-shim gate --config config.toml --to live --format json";

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// The stage to go to
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    to: Stage,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    config: ConfigArgs,
}

fn stage(text: &str) -> Result<Stage, String> {
    let names = || Stage::ALL.map(Stage::as_str).join(", ");
    text.parse().map_err(|_| format!("expected one of {}", names()))
}

pub(super) fn run(arguments: GateArgs) -> u8 {
    let GateArgs { to, format, config } = arguments;
    let sources = match check::sources(config) {
        Ok(sources) => sources,
        Err(code) => return code,
    };
    let examined = match examine(&sources) {
        Ok(examined) => examined,
        Err(problems) => return check::refused(&problems),
    };
    let config = examined.config();
    let Some(ledger) = &config.ledger else { return check::refused(&no_ledger(&examined.rows())) };
    check::note_facts(config);
    let judged = block_on(async {
        let reader = Reader::open(&named(ledger)).await?;
        // What `serve` refuses whatever the stage is.
        let identity = Identity { create: false, ..identity_of(config, ledger) };
        let mismatches = reader.identified(Some(&ledger.tenant)).await?.mismatches(&identity);
        if !mismatches.is_empty() {
            return Err(OpenError::Mismatch(mismatches).into());
        }
        let mut conditions = gate::conditions(&reader, config, &to.modes()).await?;
        conditions.extend(gate::refused_reads(&reader, config, &to.modes()).await?);
        let in_force = reader.modes_on_record(&ledger.tenant).await?;
        let from = in_force.and_then(|(modes, _)| progress_of_record(&modes));
        conditions.extend(gate::tripped_on_the_way(&reader, config, (from, &to.modes())).await?);
        let nothing =
            if conditions.is_empty() { gate::needs_nothing(&reader, config, &to.modes()).await? } else { "" };
        Ok((conditions, nothing))
    });
    answer(judged, &examined.rows(), |(conditions, nothing)| {
        let met = conditions.iter().all(|condition| condition.met);
        let text = match format {
            Format::Text if conditions.is_empty() => format!("{to} needs nothing: {nothing}\n"),
            Format::Text => text(&conditions),
            Format::Json => json_line(&json(to, &conditions).to_string()),
        };
        (text, if met { OK } else { NO_GO })
    })
}

fn text(conditions: &[Condition]) -> String {
    let rows: Vec<_> = conditions
        .iter()
        .map(|condition| {
            let Condition { step, name, met, text } = condition;
            (if *met { "met" } else { "MISSING" }, format!("{}, {name}: {text}", step.as_str()))
        })
        .collect();
    table(&rows)
}

fn json(to: Stage, conditions: &[Condition]) -> serde_json::Value {
    let condition = |condition: &Condition| {
        let Condition { step, name, met, text } = condition;
        json!({ "step": step.as_str(), "condition": name, "met": met, "text": text })
    };
    json!({
        "to": to.as_str(),
        "met": conditions.iter().all(|condition| condition.met),
        "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}
