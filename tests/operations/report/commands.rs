//! Exit codes, and where what is printed goes.

use conversion_shim::shadow::types::{Severity, Verdict};
use conversion_shim::translate::route::Route;

use super::{report, report_in, story, write};
use crate::support::story::{differing, green, lines};

#[test]
fn the_exit_code_is_the_verdict() {
    let go = green(Route::Create) + &green(Route::Get) + &green(Route::List);
    assert_eq!(report(&[], &go).code, 0);
    let money = lines([differing(Route::List, Verdict::Mismatch, Some(Severity::Money))]);
    let ended = report(&[], &(go.clone() + &money));
    assert_eq!((ended.code, ended.complaint.as_str()), (6, ""));
    assert_eq!(report(&["--route", "create", "--route", "get"], &(go + &money)).code, 0);
    let ended = report(&[], "");
    assert_eq!(ended.code, 6);
    assert!(ended.out.contains("no records") && ended.out.contains("NO HEARTBEAT"), "{}", ended.out);
}

#[test]
fn what_cannot_be_read_or_written_is_code_1_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), "shadow.log", green(Route::Get));
    let folder = dir.path().to_str().unwrap();
    for arguments in [
        vec!["/nowhere/shadow.log"],
        vec![log.to_str().unwrap(), folder],
        vec!["--html", "/nowhere/report.html", log.to_str().unwrap()],
    ] {
        let ended = report(&arguments, "");
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{arguments:?}");
        assert!(
            ended.complaint.contains("nowhere") || ended.complaint.contains(folder),
            "{}",
            ended.complaint
        );
    }
}

#[test]
fn what_makes_no_sense_is_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), "shadow.log", green(Route::Get));
    let log = log.to_str().unwrap();
    for arguments in [
        &["--route", "cancel"][..],
        &["--since", "soon"],
        &["--format", "xml"],
        &["--top", "few"],
        &["--html", log, log],
    ] {
        let ended = report(arguments, "");
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!ended.complaint.is_empty());
    }
    assert_eq!(std::fs::read_to_string(log).unwrap(), green(Route::Get), "the log is not overwritten");
}

#[test]
fn a_config_that_is_refused_is_code_3() {
    let ended = report(&["--set", "shadow.go.money_max=few"], &green(Route::Get));
    assert_eq!((ended.code, ended.out.as_str()), (3, ""));
    assert!(ended.complaint.contains("shadow.go.money_max"), "{}", ended.complaint);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let plain = report(&[], &story::day()).out;
    let coloured = report_in(&[("CLICOLOR_FORCE", "1")], &[], &story::day()).out;
    assert!(coloured.contains("\u{1b}[31m") && !plain.contains('\u{1b}'), "{coloured}");
    let words = anstream::adapter::strip_str(&coloured).to_string();
    assert!(words.lines().map(str::trim_end).eq(plain.lines().map(str::trim_end)), "{words}");
    assert_eq!(report_in(&[("NO_COLOR", "1")], &[], &story::day()).out, plain);
}

#[test]
fn help_is_written_for_a_person() {
    let ended = report(&["--help"], "");
    assert_eq!(ended.code, 0);
    for words in
        ["GO, NO-GO or NOT PROVEN", "--since 24h", "  6  `report`: NO-GO", "  7  `report`: NOT PROVEN"]
    {
        assert!(ended.out.contains(words), "{words} is not in {}", ended.out);
    }
    assert!(!ended.out.contains("--now"));
}
