//! The page in a real browser: its plots have sizes, its tables show, it stays inside a phone's width, and nothing complains.
//! `REPORT_SCREENSHOTS=DIR` keeps pictures of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{report, story, write};
use crate::support::browser::Browser;

/// Names of the plots with how many shapes of each have a size, and how many there are.
const SIZES: &str = "Object.fromEntries(['stacked', 'bar', 'latency', 'over-time'].map(name => {
    const shapes = [...document.querySelectorAll(`svg.${name} rect`)].map(shape => shape.getBoundingClientRect());
    return [name, [shapes.filter(shape => shape.width > 0.5 && shape.height > 0.5).length, shapes.length]];
}))";

/// The greatest distance by which something sticks out of the page, tables that scroll aside.
const OUTSIDE: &str = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

const GROUND: &str = "getComputedStyle(document.body).backgroundColor";

#[test]
fn plots_and_tables_show_in_the_light_in_the_dark_and_on_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    report(&["--html", page.to_str().unwrap()], &story::day());
    for (width, scheme, ground) in [
        (1100, "light", "rgb(251, 251, 250)"),
        (1100, "dark", "rgb(20, 23, 26)"),
        (390, "light", "rgb(251, 251, 250)"),
        (390, "dark", "rgb(20, 23, 26)"),
    ] {
        browser.open(&url(&page), width, scheme);
        let sizes = browser.evaluate(SIZES);
        for (name, least) in [("stacked", 3), ("bar", 20), ("latency", 15), ("over-time", 72)] {
            let (sized, all) = (sizes[name][0].as_u64().unwrap(), sizes[name][1].as_u64().unwrap());
            assert!(all >= least && sized == all, "{name} at {width}: {sizes}");
        }
        assert_eq!(browser.evaluate(OUTSIDE), 0, "nothing sticks out at {width}");
        assert_eq!(browser.evaluate(GROUND), ground, "{scheme}");
        shows(&browser.evaluate("document.body.innerText"));
        keep_picture(&mut browser, &format!("{scheme}-{width}.png"));
    }
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// The texts of every section are there to be read, without a click where they matter most.
fn shows(text: &Value) {
    let text = text.as_str().unwrap().to_lowercase();
    for words in [
        "shadow report no-go",
        "money_max 5 with a money difference, at most 0",
        "19 thresholds met",
        "error_disagreement",
        "262 ms",
        "served \\ other",
        "differences",
        "usdc/usd",
        "created_at.begin",
        "never",
        "payments-platform",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
}

#[test]
fn a_click_shows_examples_without_any_script() {
    let Some(mut browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    report(&["--html", page.to_str().unwrap()], &story::day());
    browser.open(&url(&page), 1100, "light");
    let text = "document.querySelector('details.signature').innerText";
    assert!(!browser.evaluate(text).as_str().unwrap().contains("100.01"));
    browser.evaluate("document.querySelector('details.signature summary').click()");
    let opened = browser.evaluate(text);
    assert!(
        opened.as_str().unwrap().contains("100.01") && opened.as_str().unwrap().contains("0193a4c2-d200"),
        "{opened}"
    );
    browser.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)");
    assert_eq!(browser.evaluate(OUTSIDE), 0);
    keep_picture(&mut browser, "opened-1100.png");
    browser.open(&url(&page), 390, "dark");
    browser.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)");
    assert_eq!(browser.evaluate(OUTSIDE), 0);
    keep_picture(&mut browser, "opened-390.png");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// The policy of the page is what stops a script, should one ever get past the escaping.
#[test]
fn the_page_runs_nothing_and_loads_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    report(&["--html", page.to_str().unwrap()], &story::day());
    let slipped = "<script>window.ran = true</script><style>body { display: none }</style><p style='position: fixed'>\
        <img src=https://example.invalid/x onerror='window.ran = true'>";
    let text = std::fs::read_to_string(&page).unwrap().replace("<main>", &format!("<main>{slipped}"));
    browser.open(&url(&write(dir.path(), "slipped.html", text)), 1100, "light");
    assert_eq!(browser.evaluate("window.ran === undefined"), true);
    assert_eq!(browser.evaluate("getComputedStyle(document.body).display"), "block");
    assert_eq!(browser.evaluate("getComputedStyle(document.querySelector('main p')).position"), "static");
    assert!(!browser.complaints.is_empty(), "the browser says that it refused");
}

fn keep_picture(browser: &mut Browser, name: &str) {
    if let Some(dir) = std::env::var_os("REPORT_SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(dir).join(name));
    }
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}
