//! Where the admin listener probably is, from a config that is refused: an operator asks a running proxy exactly then. Nothing is
//! served by what is read here.

use std::net::SocketAddr;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};

use super::load::{DEFAULT, Sources, merged};

/// Lines that are left out at most, to make the rest readable.
const LINES_LEFT_OUT: usize = 100;

/// `admin.listen`, whatever else is wrong: the layers' own value if that one can be read, else the default. `None` when it is off.
#[must_use]
pub fn admin_listen(sources: &Sources) -> Option<SocketAddr> {
    let (figment, ..) = merged(sources, |text| Ok(read(text)));
    let written = figment.find_value("admin.listen").ok().and_then(Value::into_string);
    match written.as_deref() {
        Some("") => None,
        written => written.and_then(|written| written.parse().ok()).or_else(default),
    }
}

fn default() -> Option<SocketAddr> {
    let defaults: Dict = Toml::from_str(DEFAULT).ok()?;
    defaults.get("admin")?.find_ref("listen")?.as_str()?.parse().ok()
}

/// What can be read of a text: its lines but those that TOML stumbles over.
fn read(text: &str) -> Dict {
    let mut lines: Vec<&str> = text.split('\n').collect();
    for _ in 0..LINES_LEFT_OUT {
        let text = lines.join("\n");
        match Toml::from_str::<Dict>(&text) {
            Ok(values) => return values,
            Err(error) => {
                let Some(span) = error.span() else { break };
                let line = text[..span.start.min(text.len())].matches('\n').count();
                // An error at the end of a text that was cut before would be met again.
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
    fn the_address_is_found_around_whatever_is_wrong() {
        let ours = Some("127.0.0.1:7000".to_owned());
        let section = "[admin]\nlisten = \"127.0.0.1:7000\"\n";
        assert_eq!(listen(&format!("stage = nonsense\nstage =\nstage = \"x\"\n{section}")), ours);
        assert_eq!(listen(&format!("{section}[hold\n")), ours);
        assert_eq!(listen(&format!("unknown = 1\nstage = 7\n{section}replicas = \"é\n")), ours);
        let usual = Some("127.0.0.1:9090".to_owned());
        assert_eq!(listen("admin.listen = \"here\"\n"), usual);
        assert_eq!(listen("admin.listen = 9090\nx = \n"), usual);
        assert_eq!(listen("admin = \"\"\n"), usual);
        assert_eq!(listen("stage = \"\"\"never ends\n"), usual);
        assert_eq!(listen("admin.listen = \"\"\nstage = \n"), None);
        let missing = Sources { file: Some("/nowhere/shim.toml".into()), ..Sources::default() };
        assert_eq!(admin_listen(&missing).map(|address| address.to_string()), usual);
    }
}
