//! The arguments that name a config, shared by every command that reads one.

use std::path::PathBuf;

use clap::Args;

use crate::config::load::{Flag, Overlay, Sources};

#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    /// Config file; config/default.toml documents every key
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Address and port for clients; overrides `listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Stage of the cutover; overrides `stage`
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Override any key; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = |text: &str| text.parse::<Flag>())]
    set: Vec<Flag>,
}

impl ConfigArgs {
    /// All layers of the config above the defaults.
    pub(super) fn into_sources(self) -> Sources {
        let mut flags = self.set;
        flags.extend(self.listen.map(|value| Flag::new("--listen", "listen", value)));
        flags.extend(self.stage.map(|value| Flag::new("--stage", "stage", value)));
        let environment = std::env::vars_os();
        Sources {
            overlay: None,
            file: self.config,
            text: None,
            environment: environment
                // What is not UTF-8 is refused by the loader, with its key and source.
                .map(|(name, value)| {
                    (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
                })
                .collect(),
            flags,
        }
    }

    /// [`Self::into_sources`] with the overlay of `serve --sandbox`.
    pub(super) fn into_sandbox_sources(self) -> Sources {
        Sources { overlay: Some(Overlay::Sandbox), ..self.into_sources() }
    }
}
