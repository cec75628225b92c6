//! Reads the address of the admin listener, or the ledger, from a config that may be invalid: `status` and `usage` must reach a running
//! proxy whose config file is broken, and `trip now` its ledger. Nothing is served from a value that is read here.

use std::net::SocketAddr;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::layers::{DEFAULT, Merged, merge};
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

/// The sources with nothing but the section `[ledger]`, as far as it can be read: a trip must not wait for a config that can be served.
pub(super) fn ledger_alone(sources: &Sources) -> Merged {
    let is_kept = |key: &str| key.starts_with("ledger.") || key.starts_with("routes.") || key == "stage";
    let mut sources = sources.clone();
    sources.environment.retain(|(name, _)| name.starts_with("SHIM_LEDGER__"));
    sources.flags.retain(|flag| is_kept(&flag.key));
    let of_ledger = |text: &str| {
        let mut values = parse(text);
        values.retain(|key, _| key == "ledger");
        Ok(values)
    };
    Merged { problems: Vec::new(), ..merge(&sources, of_ledger) }
}

fn default_listen() -> Option<SocketAddr> {
    Figment::from(Toml::string(DEFAULT)).find_value(LISTEN).ok()?.as_str()?.parse().ok()
}

/// Parses a text without the lines that are not TOML.
fn parse(text: &str) -> Dict {
    let mut lines: Vec<&str> = text.split('\n').collect();
    for _ in 0..DROPPED_LINES_MAX {
        let text = lines.join("\n");
        match Toml::from_str::<Dict>(&text) {
            Ok(values) => return values,
            Err(error) => {
                let Some(span) = error.span() else { break };
                let line = text[..span.start.min(text.len())].matches('\n').count();
                // Dropping a line that is already empty would end in the same error again.
                if std::mem::take(&mut lines[line]).is_empty() {
                    break;
                }
            }
        }
    }
    Dict::new()
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
