//! What `serve --sandbox` prints: requests to paste into another terminal, and what they show in the current stage.

use std::net::SocketAddr;

use super::admin_address::connects_to;
use crate::config::{Config, Mode, Modes};
use crate::sandbox;
use crate::translate::paths::{CONVERSIONS, ORCHESTRATIONS};
use crate::translate::side::Side;

/// Lines to paste into another terminal.
pub(super) fn requests(config: &Config, address: SocketAddr, admin: Option<SocketAddr>) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let proxy = format!("{scheme}://{}{}", connects_to(address), config.base_path);
    let legacy = format!("{proxy}{CONVERSIONS}");
    let token = format!("-H 'Authorization: Bearer {}'", sandbox::TOKEN);
    let profile = sandbox::PROFILE;
    let body = format!(
        r#"{{"ref_id":"try-it-1","profile_id":"{profile}","amount":"100","source_asset":"USD","target_asset":"PYUSD"}}"#
    );
    let vendor = &config.upstream.new;
    let (answered, listed, there) = describe(&config.modes);
    let status = admin.map_or_else(String::new, operator);
    format!(
        "The proxy is at {proxy}, an embedded sandbox of the vendor at {vendor}.
Requests of the old API to try, {answered}; paste them into another terminal:

# create a conversion; a repetition gets a 409, as from the old API
curl {token} {legacy} -d '{body}'

# list conversions{listed}
curl {token} '{legacy}?profile_id={profile}&order=DESC&limit=5'

# read one conversion; after {settle:?} it is SETTLED
curl {token} {legacy}/$(curl -s {token} '{legacy}?ref_id=try-it-1' | grep -o '\"id\":\"[^\"]*' | cut -d'\"' -f4)

# {there}
curl {token} '{vendor}{ORCHESTRATIONS}?ref_id=try-it-1'

# any other path is passed through unchanged
curl {token} {proxy}/profiles

{status}",
        settle = config.sandbox.settle_after,
    )
}

/// Which side answers, what a list leaves out, and what the new API holds of the conversion.
fn describe(modes: &Modes) -> (&'static str, &'static str, &'static str) {
    const ON_NEW: &str = "the same record as the new API has it";
    const NOT_ON_NEW: &str = "what the new API has of it: nothing, because creates go to the old one";
    let others = "; the vendor's list also holds deposits and withdrawals, which no old client may see";
    let answered = match (modes.create, modes.list) {
        (Mode::New, Mode::New) => "each answered from the new one",
        (Mode::New, _) => "creates answered from the new one and reads from both",
        (Mode::Canary, _) => "creates answered from the new one for the chosen profiles, and reads from both",
        (Mode::Hold, _) => "creates held back with a 503 and reads answered from both",
        (_, Mode::Both) => "creates answered from the old one, as it is, and reads from both",
        (Mode::Shadow, _) => {
            "each answered from the old one, as it is, and compared with the new one in the background"
        }
        (Mode::Legacy | Mode::Both, _) => "each answered from the old one, as it is",
    };
    let sees_new = matches!(modes.list, Mode::New | Mode::Both);
    let there = match modes.create {
        Mode::Hold => "what the new API has of it: nothing, because creates are held back",
        create if create.creates_on() == Side::New => ON_NEW,
        _ => NOT_ON_NEW,
    };
    (answered, if sees_new { others } else { "" }, there)
}

fn operator(admin: SocketAddr) -> String {
    let admin = connects_to(admin);
    let program = std::env::current_exe().unwrap_or_else(|_| "conversion-shim".into());
    format!(
        "# the status for operators, also in a browser at http://{admin}/\n{} status --admin {admin}\n\n",
        program.display()
    )
}
