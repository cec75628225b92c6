//! What a reload may not change, and what it did change. Pure. `default.toml` marks the same keys "on restart".

use super::Problem;
use super::load::Loaded;
use super::secret;

/// Keys that are read once, at start.
const ON_RESTART: [&str; 46] = [
    "listen",
    "upstream.connect_timeout",
    "upstream.pool_idle_timeout",
    "upstream.pool_idle_max",
    "upstream.ca_file",
    "upstream.client_certificate",
    "upstream.client_key",
    "upstream.tls_min_version",
    "limits.connections_max",
    "limits.header_read_timeout",
    "limits.keep_alive_timeout",
    "limits.write_timeout",
    "limits.header_bytes_max",
    "limits.headers_max",
    "limits.http2_streams_max",
    "server.drain_deadline",
    "server.threads",
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "tls.client_auth",
    "tls.min_version",
    "log.format",
    "log.filter",
    "tracing.endpoint",
    "tracing.authorization",
    "tracing.authorization_file",
    "tracing.service_name",
    "tracing.queue_max",
    "tracing.timeout",
    "ledger.url",
    "ledger.url_file",
    "ledger.tenant",
    "ledger.timeout",
    "ledger.pool_max",
    "shadow.jobs_max",
    "shadow.bytes_max",
    "shadow.concurrency",
    "shadow.log",
    "shadow.log_max",
    "shadow.log_keep",
    "shadow.redaction_key",
    "shadow.redaction_key_file",
    "admin.listen",
    "sandbox.listen",
    "sandbox.settle_after",
];

/// The keys whose value in force differs.
pub(super) fn changed(before: &Loaded, after: &Loaded) -> Vec<&'static str> {
    let (old, new) = (&before.config, &after.config);
    let differs = |key, one: &str, other: &str| one != other || secret::differs(key, old, new);
    let pairs = before.rows.iter().zip(&after.rows);
    pairs.filter(|(one, other)| differs(one.key, &one.value, &other.value)).map(|(one, _)| one.key).collect()
}

/// Why `after` may not follow on `before` without a restart. Empty = it may.
pub(super) fn problems(before: &Loaded, after: &Loaded) -> Vec<Problem> {
    let changed = changed(before, after);
    let pairs = before.rows.iter().zip(&after.rows).filter(|(row, _)| changed.contains(&row.key));
    let fixed = pairs.filter(|(row, _)| ON_RESTART.contains(&row.key)).map(|(one, other)| {
        let message = match one.key {
            key if secret::is_secret(key) => "changed, and that needs a restart".into(),
            _ => format!("changed from {} to {}, and that needs a restart", one.value, other.value),
        };
        Problem::new(one.key, message, &other.source)
    });
    let mut problems: Vec<_> = fixed.collect();
    problems.extend(resalted(before, after, &changed));
    problems
}

/// Another salt moves profiles from side to side, which "raising the percentage only adds profiles" promises not to.
fn resalted(before: &Loaded, after: &Loaded, changed: &[&str]) -> Option<Problem> {
    let row = after.rows.iter().find(|row| row.key == "canary.salt" && changed.contains(&row.key))?;
    (before.config.canary.percent > 0).then(|| {
        let message = "changed while canary.percent is above 0, and that would move profiles between the sides; set percent \
                       to 0 first";
        Problem::new(row.key, message, &row.source)
    })
}

#[cfg(test)]
mod tests {
    use super::super::load::DEFAULT;
    use super::ON_RESTART;

    #[test]
    fn default_toml_marks_exactly_the_keys_that_need_a_restart() {
        let mut marked = Vec::new();
        let (mut section, mut comment) = (String::new(), "");
        for line in DEFAULT.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{name}.");
            } else if line.starts_with('#') {
                comment = line;
            } else if let Some((key, _)) = line.split_once(" = ") {
                match comment {
                    "# Takes effect: on restart." => marked.push(format!("{section}{key}")),
                    "# Takes effect: on reload." => {}
                    other => panic!("{section}{key} does not say when it takes effect: {other}"),
                }
                comment = "";
            }
        }
        assert_eq!(marked, ON_RESTART);
    }
}
