//! The result of a probe, as the file that `facts.file` names, as JSON, and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::facts_file::hosts_of;
use crate::translate::facts::EmptyList;

const NOT_KNOWN: &str = "not known";

#[derive(Debug)]
pub(crate) struct FactsFound {
    found_at: Timestamp,
    hosts: Vec<String>,
    facts: Vec<Fact>,
    /// What contradicts the config, an older fact or itself.
    findings: Vec<String>,
    /// What an earlier probe saw on these hosts.
    before: BTreeMap<String, String>,
    /// Conversions that were made: side, reference, id.
    conversions: Vec<[String; 3]>,
    /// What could not be asked, and why.
    failures: Vec<String>,
    pub(crate) calls: u32,
}

#[derive(Debug)]
struct Fact {
    name: &'static str,
    /// As TOML.
    value: String,
    how: String,
    /// Whether it was observed. The file has no other facts, only why.
    is_known: bool,
    /// Whether a rule of the cutover follows it; otherwise it is there to be read.
    is_rule: bool,
}

impl FactsFound {
    pub(super) fn new(config: &Config) -> Self {
        let (facts, findings, conversions, failures) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (found_at, hosts) = (Timestamp::now(), hosts_of(&config.upstream));
        let before = config.facts_file.as_ref().filter(|file| file.is_in_use);
        let before = before.map(|file| file.seen.clone()).unwrap_or_default();
        Self { found_at, hosts, facts, findings, before, conversions, failures, calls: 0 }
    }

    /// A fact that a rule follows: a key of `[facts]`. One that says otherwise than the config is a finding.
    pub(super) fn rule(&mut self, name: &'static str, value: &str, in_config: &str, how: String) {
        if !in_config.is_empty() && in_config != value {
            self.findings.push(format!("{name}: the config says {in_config:?}, and {how}"));
        }
        self.facts.push(Fact { name, value: json!(value).to_string(), how, is_known: true, is_rule: true });
    }

    /// As [`Self::rule`], for the forms of an empty list. The config may name more of them, and the first always counts.
    pub(super) fn rules(&mut self, name: &'static str, values: &[&str], in_config: &[&str], how: String) {
        if !in_config.is_empty()
            && !values.iter().all(|value| in_config.contains(value) || *value == EmptyList::ARRAY)
        {
            self.findings.push(format!("{name}: the config says {in_config:?}, and {how}: {values:?}"));
        }
        self.facts.push(Fact { name, value: json!(values).to_string(), how, is_known: true, is_rule: true });
    }

    /// A fact that no rule follows. One that says otherwise than an earlier probe is a finding.
    pub(super) fn seen(&mut self, name: &'static str, value: &str, how: impl Into<String>) {
        if let Some(before) = self.before.get(name).filter(|before| *before != value) {
            self.findings.push(format!("{name}: an earlier probe found {before:?}, and now it is {value:?}"));
        }
        self.measured(name, value, how);
    }

    /// A fact that no rule follows, and that may be another each time.
    pub(super) fn measured(&mut self, name: &'static str, value: &str, how: impl Into<String>) {
        let (value, how) = (json!(value).to_string(), how.into());
        self.facts.push(Fact { name, value, how, is_known: true, is_rule: false });
    }

    /// A fact that could not be settled, so that the rules stay at their safest.
    pub(super) fn unclear(&mut self, name: &'static str, why: &str) {
        let (value, how) = (json!(NOT_KNOWN).to_string(), why.to_owned());
        self.facts.push(Fact { name, value, how, is_known: false, is_rule: false });
    }

    /// These facts could not be asked for.
    pub(super) fn failed(&mut self, names: &[&'static str], why: &str) {
        for name in names {
            if !self.has(name) {
                self.unclear(name, why);
            }
        }
        self.failures.push(format!("{}: {why}", names.join(", ")));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.facts.iter().any(|fact| fact.name == name)
    }

    pub(super) fn finding(&mut self, finding: String) {
        self.findings.push(finding);
    }

    pub(super) fn converted(&mut self, made: [String; 3]) {
        self.conversions.push(made);
    }

    pub(crate) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// What could not be asked, and why.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The file that `facts.file` names.
    pub(crate) fn toml(&self) -> String {
        let mut out =
            String::from("# Written by `conversion-shim probe`. Name it in the config, under [facts].\n");
        let _ = writeln!(out, "found_at = \"{}\"\nhosts = {}", self.found_at, json!(self.hosts));
        for (table, is_rule) in [("facts", true), ("seen", false)] {
            let _ = writeln!(out, "\n[{table}]");
            for fact in self.facts.iter().filter(|fact| fact.is_rule == is_rule) {
                let how = fact.how.replace(char::is_control, " ");
                let _ = match fact.is_known {
                    true => writeln!(out, "# {how}\n{} = {}", fact.name, fact.value),
                    false => writeln!(out, "# {} is {NOT_KNOWN}: {how}", fact.name),
                };
            }
        }
        out
    }

    pub(crate) fn json(&self) -> Value {
        let fact = |fact: &Fact| {
            let value: Value = fact.value.parse().unwrap_or_default();
            json!({ "name": fact.name, "value": value, "how": fact.how, "rule": fact.is_rule })
        };
        let conversion =
            |[side, ref_id, id]: &[String; 3]| json!({ "side": side, "ref_id": ref_id, "id": id });
        json!({
            "found_at": self.found_at.to_string(), "hosts": self.hosts, "calls": self.calls,
            "facts": self.facts.iter().map(fact).collect::<Vec<_>>(), "findings": self.findings,
            "conversions": self.conversions.iter().map(conversion).collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    /// Rows for a table: name, value, how it was found.
    pub(crate) fn rows(&self) -> Vec<[String; 3]> {
        self.facts.iter().map(|fact| [fact.name.to_owned(), fact.value.clone(), fact.how.clone()]).collect()
    }

    pub(crate) fn findings(&self) -> &[String] {
        &self.findings
    }

    pub(crate) fn conversions(&self) -> &[[String; 3]] {
        &self.conversions
    }
}
