//! Reads the address of the admin listener, or the section `[ledger]`, from a config that may be invalid: `status` and `usage` must
//! reach a running proxy whose config file is broken, and `trip now` its ledger. Nothing is served from a value that is read here.

use std::net::SocketAddr;
use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::layers::{self, DEFAULT, Layer, Merged, merge};
use super::problem::ConfigProblem;
use super::schema::Schema;
use super::sections::admin::LISTEN;
use super::sources::Sources;

/// Maximum number of lines that are dropped to make the rest parse.
const DROPPED_LINES_MAX: usize = 100;

/// The effective `admin.listen` if it can be read, else its default; other problems are ignored. `None` if the listener is off.
#[must_use]
pub(crate) fn admin_listen(sources: &Sources) -> Option<SocketAddr> {
    let merged = merge(sources, |text| Ok(parse(text)));
    let configured = merged.values.find_value(LISTEN).ok().and_then(Value::into_string);
    match configured.as_deref() {
        Some("") => None,
        Some(text) => text.parse().ok().or_else(default_listen),
        None => default_listen(),
    }
}

const LEDGER: &str = "ledger";

/// The section `[ledger]`, as far as it can be read.
pub(super) struct LedgerValues {
    values: Figment,
    /// What could not be read.
    pub(super) problems: Vec<ConfigProblem>,
    /// Whether there is no file, or it was read at least in part.
    pub(super) has_file: bool,
}

impl LedgerValues {
    /// The values, with the default in the place of each of these keys.
    pub(super) fn merged(&self, without: &[String]) -> Merged {
        let defaults = Figment::from(Toml::string(DEFAULT));
        let default = |key: &String| Some(Layer::of("default".into(), key, defaults.find_value(key).ok()?));
        let values = without.iter().filter_map(default).fold(self.values.clone(), Figment::merge);
        // What a line that was skipped would have set is not known.
        let complete = self.problems.iter().all(|problem| !problem.key.is_empty());
        Merged { values, problems: Vec::new(), complete, embedded_vendor: false, file_digest: None }
    }
}

/// The section `[ledger]` of the sources: a trip must not wait for a config that can be served.
pub(super) fn ledger_alone(sources: &Sources) -> LedgerValues {
    let mut above = Sources { overlay: None, file: None, text: None, ..sources.clone() };
    // Other sections may be broken in any way; a problem of theirs must not hide the ledger.
    above.environment.retain(|(name, _)| name.starts_with("SHIM_LEDGER__"));
    above.flags.retain(|flag| flag.key.starts_with("ledger."));
    let Merged { values, problems, .. } = merge(&above, layers::toml);
    let mut found = LedgerValues { values, problems, has_file: true };
    if let Some(path) = &sources.file {
        found.add_file(path);
    }
    found
}

impl LedgerValues {
    /// Adds what the file says and no source above it does.
    fn add_file(&mut self, path: &Path) {
        let source = format!("file {}", path.display());
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("the file cannot be read: {error}");
                self.problems.push(ConfigProblem::new("", message, source));
                self.has_file = false;
                return;
            }
        };
        // One wrong byte in a comment must not keep an operator from holding creates.
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = std::str::from_utf8(&bytes) {
            let message = format!("not UTF-8 from byte {} on; what is not was replaced", error.valid_up_to());
            self.problems.push(ConfigProblem::new("", message, source.clone()));
        }
        let (section, skipped) = ledger_section(&text);
        self.problems.extend(skipped.into_iter().map(|message| ConfigProblem::new("", message, &source)));
        let defaults = Toml::from_str::<Dict>(DEFAULT).unwrap_or_default();
        let section = Dict::from([(LEDGER.to_owned(), section)]);
        let known = Schema::new(&defaults).retain_known(section, &source, &mut self.problems);
        let known = known.get(LEDGER).and_then(Value::as_dict).cloned().unwrap_or_default();
        for (name, value) in known {
            let key = format!("{LEDGER}.{name}");
            let set_by = self.values.find_metadata(&key).map_or("default", |metadata| &metadata.name);
            // The file comes below environment and flags, which were merged before it here.
            if set_by == "default" {
                self.values = std::mem::take(&mut self.values).merge(Layer::of(source.clone(), &key, value));
            }
        }
    }
}

/// The section `[ledger]` of a text, and what of the text is not TOML.
fn ledger_section(text: &str) -> (Value, Vec<String>) {
    let (mut values, skipped) = salvage(text);
    let section = values.remove(LEDGER).unwrap_or_else(|| Dict::new().into());
    match section.as_dict() {
        // One broken line may take others with it: a string that never ends, a header without its bracket.
        Some(read) if !skipped.is_empty() => {
            let mut all = ledger_lines(text);
            all.extend(read.clone());
            (all.into(), skipped)
        }
        Some(_) | None => (section, skipped),
    }
}

/// What the lines of the section say, each read alone.
fn ledger_lines(text: &str) -> Dict {
    let (mut section, mut all) = ("", Dict::new());
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split([']', '#']).next().unwrap_or_default().trim();
            continue;
        }
        let mut values = Toml::from_str::<Dict>(line).unwrap_or_default();
        match section {
            LEDGER => all.extend(values),
            "" => all.extend(values.remove(LEDGER).and_then(Value::into_dict).unwrap_or_default()),
            _ => {}
        }
    }
    all
}

fn default_listen() -> Option<SocketAddr> {
    Figment::from(Toml::string(DEFAULT)).find_value(LISTEN).ok()?.as_str()?.parse().ok()
}

/// Parses a text without the lines that are not TOML.
fn parse(text: &str) -> Dict {
    salvage(text).0
}

/// What a text says without the lines that are not TOML, and what is wrong with each of those.
fn salvage(text: &str) -> (Dict, Vec<String>) {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut skipped = Vec::new();
    for _ in 0..DROPPED_LINES_MAX {
        let text = lines.join("\n");
        let error = match Toml::from_str::<Dict>(&text) {
            Ok(values) => return (values, skipped),
            Err(error) => error,
        };
        // In the words of the usual loader, so that both name the same line.
        skipped.extend(layers::toml(&text).err());
        let Some(span) = error.span() else { break };
        let line = text[..span.start.min(text.len())].matches('\n').count();
        // Dropping a line that is already empty would end in the same error again.
        if std::mem::take(&mut lines[line]).is_empty() {
            break;
        }
    }
    (Dict::new(), skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shim.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources { file: Some(path), ..Sources::default() };
        admin_listen(&sources).map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_found_in_an_invalid_config() {
        let configured = Some("127.0.0.1:7000".to_owned());
        let section = "[admin]\nlisten = \"127.0.0.1:7000\"\n";
        assert_eq!(listen(&format!("stage = nonsense\nstage =\nstage = \"x\"\n{section}")), configured);
        assert_eq!(listen(&format!("{section}[hold\n")), configured);
        assert_eq!(listen(&format!("unknown = 1\nstage = 7\n{section}replicas = \"é\n")), configured);
        let default = Some("127.0.0.1:9090".to_owned());
        assert_eq!(listen("admin.listen = \"here\"\n"), default);
        assert_eq!(listen("admin.listen = 9090\nx = \n"), default);
        assert_eq!(listen("admin = \"\"\n"), default);
        assert_eq!(listen("stage = \"\"\"never ends\n"), default);
        assert_eq!(listen("admin.listen = \"\"\nstage = \n"), None);
        let missing = Sources { file: Some("/nowhere/shim.toml".into()), ..Sources::default() };
        assert_eq!(admin_listen(&missing).map(|address| address.to_string()), default);
    }
}
