//! The manifests against one another, the config and the image.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::settings::{KUBERNETES, drain, port, run, settings};
use super::{read, repository, words, yaml};

fn manifest(name: &str) -> Value {
    yaml(&format!("deploy/kubernetes/{name}.yaml"))
}

fn pod() -> Value {
    manifest("deployment")["spec"]["template"]["spec"].clone()
}

/// Where a volume is mounted.
fn mounted(volume: &str) -> String {
    let mounts = pod()["containers"][0]["volumeMounts"].clone();
    let mount = mounts.as_array().unwrap().iter().find(|mount| mount["name"] == volume).unwrap().clone();
    assert_eq!((mount.get("subPath"), &mount["readOnly"]), (None, &true.into()), "{volume}");
    mount["mountPath"].as_str().unwrap().to_owned()
}

#[test]
fn every_manifest_is_applied() {
    let folder = std::fs::read_dir(repository("deploy/kubernetes")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let present: BTreeSet<_> =
        names.filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml").collect();
    let listed = manifest("kustomization")["resources"].clone();
    let listed: BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(present, listed);
}

#[test]
fn probes_and_services_reach_the_listeners() {
    let (settings, pod) = (settings(KUBERNETES), pod());
    let container = &pod["containers"][0];
    for (index, name, key) in [(0, "https", "listen"), (1, "admin", "admin.listen")] {
        let declared = &container["ports"][index];
        assert_eq!(
            (&declared["name"], &declared["containerPort"]),
            (&name.into(), &port(&settings, key).into())
        );
    }
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!((&asked["path"], &asked["port"]), (&path.into(), &"admin".into()), "{probe}");
    }
    assert_eq!(manifest("service")["spec"]["ports"][0]["targetPort"], "https");
    assert_eq!(manifest("service-admin")["spec"]["ports"][0]["targetPort"], "admin");
    let monitor = manifest("servicemonitor");
    assert_eq!(
        monitor["spec"]["endpoints"][0]["port"],
        manifest("service-admin")["spec"]["ports"][0]["name"]
    );
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], manifest("service-admin")["metadata"]["labels"]);
}

#[test]
fn everything_selects_the_pods_of_the_deployment() {
    let labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"].clone();
    for (name, place) in [
        ("deployment", "/spec/selector/matchLabels"),
        ("service", "/spec/selector"),
        ("service-admin", "/spec/selector"),
        ("poddisruptionbudget", "/spec/selector/matchLabels"),
        ("networkpolicy", "/spec/podSelector/matchLabels"),
    ] {
        assert_eq!(manifest(name).pointer(place), Some(&labels), "{name}");
    }
    assert_eq!(
        manifest("horizontalpodautoscaler")["spec"]["scaleTargetRef"]["name"],
        manifest("deployment")["metadata"]["name"]
    );
}

#[test]
fn files_that_the_config_names_are_mounted() {
    let config = read(KUBERNETES);
    for (volume, files) in
        [("tls", &["tls.crt", "tls.key"][..]), ("secrets", &["ledger-url", "redaction-key"])]
    {
        for file in files {
            let path = format!("= \"{}/{file}\"", mounted(volume));
            assert!(config.contains(&path), "no key of {KUBERNETES} {path}");
        }
    }
    let arguments = pod()["containers"][0]["args"].clone();
    assert_eq!(arguments[2], format!("{}/conversion-shim.toml", mounted("config")));
    assert_eq!(
        pod()["volumes"][0]["configMap"]["name"],
        manifest("kustomization")["configMapGenerator"][0]["name"]
    );
    // With a suffix for each content, a change of the config would roll out new pods instead of being reloaded.
    assert_eq!(manifest("kustomization")["generatorOptions"]["disableNameSuffixHash"], true);
}

#[test]
fn a_pod_that_ends_is_given_the_time_to_drain() {
    let pod = pod();
    let before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > before + drain(&settings(KUBERNETES)).as_secs());
}

#[test]
fn the_budget_is_shared_by_as_many_as_ever_run() {
    let replicas: u64 = settings(KUBERNETES)["replicas"].parse().unwrap();
    let most = manifest("horizontalpodautoscaler")["spec"]["maxReplicas"].as_u64().unwrap();
    let surge = manifest("deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"].as_u64().unwrap();
    assert!(replicas >= most + surge);
    assert_eq!(manifest("deployment")["spec"].get("replicas"), None, "the autoscaler's number");
}

#[test]
fn the_pod_may_do_nothing_that_it_does_not_do() {
    let pod = pod();
    let user: u64 = words("deploy/Dockerfile", "USER ")[0].split(':').next().unwrap().parse().unwrap();
    assert_eq!(pod["securityContext"]["runAsUser"], user);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        (&pod["enableServiceLinks"], &pod["automountServiceAccountToken"]),
        (&false.into(), &false.into())
    );
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
        (&true.into(), &false.into())
    );
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    let image = pod["containers"][0]["image"].as_str().unwrap().to_owned();
    assert!(image.ends_with(concat!("/conversion-shim:", env!("CARGO_PKG_VERSION"))), "{image}");
}

#[test]
fn the_operator_is_given_the_alerts_that_prometheus_is_given() {
    let rule = read("deploy/kubernetes/prometheusrule.yaml");
    let (_, spec) = rule.split_once("\nspec:\n").unwrap();
    let indented = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    let alerts: Vec<_> = read("deploy/prometheus/alerts.yaml").lines().map(indented).collect();
    let spec: Vec<_> = spec.lines().collect();
    assert_eq!(spec, alerts, "make it anew as its head says");
    assert_eq!(manifest("prometheusrule")["spec"], yaml("deploy/prometheus/alerts.yaml"));
    // The command at its head does that.
    let command = rule.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    let made = Command::new("sh").args(["-c", command]).current_dir(repository("")).output().unwrap();
    assert_eq!(String::from_utf8(made.stdout).unwrap(), rule, "{command}");
}

#[test]
fn the_documents_ask_for_the_pods_that_there_are() {
    let label =
        manifest("deployment")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"].clone();
    let label = format!("-l app.kubernetes.io/name={}", label.as_str().unwrap());
    let namespace = format!("kubectl -n {} ", manifest("kustomization")["namespace"].as_str().unwrap());
    let help = run(&["report", "--help"]).1;
    for (place, text) in [
        ("report --help", help),
        ("docs/runbook.md", read("docs/runbook.md")),
        ("deploy/README.md", read("deploy/README.md")),
    ] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(" -l ")).collect();
        assert!(!lines.is_empty(), "{place}");
        for line in lines {
            assert!(line.contains(&label) && line.contains(&namespace), "{place}: {line}");
        }
    }
}

#[test]
fn the_policy_marks_what_differs_from_cluster_to_cluster() {
    let policy = read("deploy/kubernetes/networkpolicy.yaml");
    assert_eq!(policy.matches("# Yours: ").count(), 4);
    for text in [&policy, &read("deploy/README.md")] {
        assert!(text.contains("four places"), "{text}");
    }
    // The vendor's name may have either kind of address.
    let blocks = policy.lines().filter_map(|line| line.trim().strip_prefix("cidr: "));
    assert_eq!(blocks.filter(|block| block.contains("/0")).collect::<Vec<_>>(), ["0.0.0.0/0", "\"::/0\""]);
}
