//! What packages install beside the program: completions, and man pages.

use crate::support::wire::binary::run;

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, complaint) = run(&["completions", shell], "");
        assert_eq!((code, complaint.as_str()), (0, ""), "{shell}");
        for word in ["conversion-shim", "serve", "report", "sandbox"] {
            assert!(out.contains(word), "{shell}: {word} is not in {out}");
        }
    }
    assert_eq!(run(&["completions", "cmd.exe"], "").0, 2);
}

#[test]
fn the_shell_can_read_its_completions() {
    let (_, script, _) = run(&["completions", "bash"], "");
    let read = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
}

#[test]
fn the_man_page_says_what_the_help_says() {
    let (code, page, complaint) = run(&["man"], "");
    assert_eq!((code, complaint.as_str()), (0, ""));
    let titled = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    assert!(titled.contains("conversion-shim 1 ") && titled.contains(env!("CARGO_PKG_VERSION")), "{titled}");
    for word in [".SH NAME", ".SH DESCRIPTION", "conversion\\-shim\\-serve(1)", "Exit codes"] {
        assert!(page.contains(word), "{word} is not in {page}");
    }
}

#[test]
fn every_command_has_a_man_page_of_its_own() {
    let (_, page, _) = run(&["man"], "");
    let named =
        page.lines().filter_map(|line| line.strip_prefix("conversion\\-shim\\-")?.strip_suffix("(1)"));
    let commands: Vec<_> = named.collect();
    assert!(!commands.contains(&"help"), "`help` would double every page: {commands:?}");
    assert!(commands.contains(&"status"), "{commands:?}");
    for command in commands {
        let (code, page, complaint) = run(&["man", command], "");
        assert_eq!((code, complaint.as_str()), (0, ""), "{command}");
        let title =
            format!(".TH conversion-shim-{command} 1  \"conversion-shim {}\"", env!("CARGO_PKG_VERSION"));
        assert!(page.contains(&title), "{title} is not in {page}");
    }
    let (code, page, _) = run(&["man", "ledger", "show"], "");
    assert!(code == 0 && page.contains("REF_ID"), "{page}");
    let (code, out, complaint) = run(&["man", "sevre"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(complaint.contains("sevre"), "{complaint}");
}
