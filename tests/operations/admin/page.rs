//! The page for people, in a real browser: what it shows, that it can be read and used by everybody, and that nothing a client calls
//! itself runs or breaks it. `PAGE_SCREENSHOTS=DIR` keeps pictures of it.

use std::path::PathBuf;

use conversion_shim::sandbox::{Fault, FaultKind, Operation, PROFILE, RefusalBody, TOKEN};
use conversion_shim::translate::side::Side;
use reqwest::StatusCode;
use serde_json::json;

use super::usage::{HEADER, make_trouble};
use super::{create, get, until, vendor};
use crate::support::browser::Browser;
use crate::support::process::{Config, Shim};

/// Runs, styles, loads, closes what it stands in, and turns the direction of writing.
const HOSTILE: &str = "\u{202e}</td><script>window.ran=1</script><img src=x onerror=ran=1>";

/// What sticks out of the page; tables scroll aside by themselves. One pixel is what rounding makes of parts of one.
const OUTSIDE: &str = "(() => {
    const page = document.documentElement, wide = page.scrollWidth - page.clientWidth;
    const out = it => !it.closest('.scroll') && it.getBoundingClientRect().right > page.clientWidth;
    return wide <= 1 ? [] : [wide, ...[...document.querySelectorAll('body *')].filter(out)
        .map(it => `${it.tagName}.${it.className} ${it.getBoundingClientRect().right}: ${it.textContent.slice(0, 40)}`)];
})()";

/// Every text with less contrast to what is behind it than WCAG AA asks for (4.5; 3 where it is large).
const FAINT: &str = "(() => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const ground = it => { for (; it; it = it.parentElement) {
        const colour = rgb(getComputedStyle(it).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
    } return [255, 255, 255]; };
    return [...document.querySelectorAll('body *')].filter(it => [...it.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .map(it => { const style = getComputedStyle(it), large = parseFloat(style.fontSize) >= 24;
            const [one, other] = [light(rgb(style.color)), light(ground(it))].sort((a, b) => b - a);
            return [it.textContent.trim().slice(0, 30), (one + 0.05) / (other + 0.05), large ? 3 : 4.5]; })
        .filter(([, ratio, least]) => ratio < least).map(([text, ratio]) => `${text}: ${ratio.toFixed(2)}`);
})()";

/// A proxy that has seen a bit of everything.
async fn busy(vendor: &conversion_shim::sandbox::Sandbox, config: &Config) -> Shim {
    config.write(&format!("stage = \"shadow\"\nroutes.cancel = \"\"\n{HEADER}"));
    let shim = Shim::start(config).await;
    make_trouble(&shim, b"treasury").await;
    make_trouble(&shim, HOSTILE.as_bytes()).await;
    for number in 0..8 {
        assert_eq!(create(&shim, &format!("r-{number}")).await, StatusCode::OK);
    }
    until(|| get(shim.admin("/status")), |(_, status)| status["shadow"]["done"].as_u64() > Some(4)).await;
    let fault = Fault::new(FaultKind::Reset { applied: true }).on(Side::New, Operation::Create).times(1);
    vendor.faults().arm(fault);
    config.write(&format!("stage = \"live\"\n{HEADER}"));
    until(|| get(shim.admin("/status")), |(_, status)| status["stage"] == "live").await;
    // Made behind the proxy's back: the duplicate check finds it.
    let body = json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": "d-1",
    });
    let direct = format!("{}/conversion/stablecoins", vendor.base_url());
    let direct = reqwest::Client::new().post(direct).bearer_auth(TOKEN).json(&body).send().await.unwrap();
    assert_eq!(direct.status(), StatusCode::OK);
    assert_eq!(create(&shim, "d-1").await, StatusCode::CONFLICT);
    for ref_id in ["r-1", "n-1", "n-2"] {
        create(&shim, ref_id).await;
    }
    get(shim.public("/v2/conversion/stablecoins?limit=2")).await;
    get(shim.public("/v2/profiles")).await;
    // A read is repeated once where its connection closes before an answer.
    let reset = Fault::new(FaultKind::Reset { applied: false }).on(None, Operation::Other).times(2);
    vendor.faults().arm(reset);
    assert_eq!(get(shim.public("/v2/profiles")).await.0, StatusCode::BAD_GATEWAY);
    let code = StatusCode::TOO_MANY_REQUESTS;
    let throttled = FaultKind::Status { code, retry_after: None, body: RefusalBody::Problem, applied: false };
    vendor.faults().arm(Fault::new(throttled).on(Side::New, Operation::List).times(1));
    assert_eq!(get(shim.public("/v2/conversion/stablecoins?limit=2")).await.0, code);
    config.write("stage = \"nonsense\"\n");
    until(|| get(shim.admin("/status")), |(_, status)| status["config"]["reload_refused"].is_object()).await;
    shim
}

/// What stands on the page of a proxy that has seen a bit of everything.
const SHOWN: &[&str] = &[
    "conversion-shim stage live ready config refused",
    "the reload was refused, so the configured values are not in force; problems",
    "young_ledger since 20",
    "create\nnew",
    "creates without ref_id\n2",
    "duplicates found\n1",
    "unknown outcomes\n1",
    "requests in the last hour",
    "failed\n1",
    "route\tside\trequests\t5xx\t4xx\tclient left",
    "pass_through\tlegacy\t2\t1\t0\t0",
    "upstream latency",
    "side\tcalls\tp50\tp95\tp99",
    "rate budget",
    " s: the vendor answered 429",
    "limit of this process: 15,000 calls to each endpoint",
    "clients of the old api",
    "treasury",
    "1 creates without ref_id",
    "<script>window.ran=1</script>",
    "shadow",
    "compared",
    "sqlite, tenant default",
    "since 20",
    "active",
    "is none of observe, shadow",
    "last reloads",
    "stage: shadow → live\ncreate: shadow → new\nget: shadow → both\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_complete_and_accessible() {
    let Some(mut browser) = Browser::start() else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    let shim = busy(&vendor, &config).await;
    for (width, scheme) in [(1100, "light"), (1100, "dark"), (390, "light"), (390, "dark")] {
        browser.open(&shim.admin("/"), width, scheme);
        let text = browser
            .evaluate("document.body.innerText")
            .as_str()
            .unwrap()
            .to_lowercase()
            .replace("\n\n", "\n");
        for words in SHOWN {
            assert!(text.contains(*words), "{words:?} is not in {text}");
        }
        assert_eq!(browser.evaluate(OUTSIDE), json!([]), "nothing sticks out at {width}");
        assert_eq!(browser.evaluate(FAINT), json!([]), "{scheme}");
        let bars = browser.evaluate("[...document.querySelectorAll('svg.minutes rect.legacy, svg.minutes rect.new, svg.spread rect.legacy')]
            .every(bar => bar.getBoundingClientRect().height > 0.5) && document.querySelectorAll('svg.minutes rect.new').length");
        assert_eq!(bars, 1, "one minute, or the first of two, has requests to the new side");
        budget_and_reloads(&mut browser);
        keep_picture(&mut browser, &format!("{scheme}-{width}.png"));
    }
    assert_eq!(browser.evaluate("window.ran === undefined && document.images.length === 0"), true);
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// The rows of the rate budget's table, and the reloads.
fn budget_and_reloads(browser: &mut Browser) {
    let cells = "[...document.querySelectorAll('#budget tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))";
    let rows = browser.evaluate(cells);
    for (endpoint, duplicate_check, throttled) in
        [("legacy list", true, false), ("new create", false, false), ("new list", true, true)]
    {
        let row = rows.as_array().unwrap().iter().find(|row| row[0] == endpoint);
        let row = row.unwrap_or_else(|| panic!("{endpoint} is not in {rows}"));
        assert_eq!((&row[1], &row[3]), (&row[7], &json!("22.5")), "all of it was just now: {row}");
        assert_eq!((row[8] != "0", row[6] != "never"), (duplicate_check, throttled), "{row}");
        assert_eq!((&row[4], &row[5]), (&json!("0"), &json!("0")), "{row}");
    }
    let results =
        browser.evaluate("[...document.querySelectorAll('#config tbody .badge')].map(it => it.innerText)");
    assert_eq!(results, json!(["refused", "accepted"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_is_enough_and_the_refresh_can_be_paused() {
    let Some(mut browser) = Browser::start() else { return };
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write("stage = \"ready\"\n");
    let shim = Shim::start(&config).await;
    create(&shim, "r-1").await;
    browser.open(&shim.admin("/"), 390, "light");
    let refresh = "document.querySelector('meta[http-equiv=refresh]')?.content";
    assert_eq!(browser.evaluate(refresh), "15");
    let mut reached = Vec::new();
    for _ in 0..12 {
        for kind in ["rawKeyDown", "keyUp"] {
            let tab = json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            browser.call("Input.dispatchKeyEvent", tab);
        }
        let focus =
            "(it => it.getAttribute('href') ?? it.getAttribute('aria-label') ?? '')(document.activeElement)";
        reached.push(browser.evaluate(focus).as_str().unwrap().to_owned());
    }
    for wanted in
        ["/?paused", "Clients", "Requests by route and side", "Rate budget", "/status", "/metrics", "/readyz"]
    {
        assert!(reached.iter().any(|it| it == wanted), "{wanted} is not in {reached:?}");
    }
    browser.open(&shim.admin("/?paused"), 390, "light");
    assert!(browser.evaluate(refresh).is_null());
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[tokio::test]
async fn the_policy_lets_nothing_run_and_the_hostile_name_is_text() {
    let vendor = vendor().await;
    let config = Config::new(&vendor);
    config.write(&format!("stage = \"ready\"\n{HEADER}"));
    let shim = Shim::start(&config).await;
    make_trouble(&shim, HOSTILE.as_bytes()).await;
    let answer = reqwest::get(shim.admin("/")).await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let html = answer.text().await.unwrap();
    assert!(html.contains("<bdi>\\u{202e}&lt;/td&gt;&lt;script&gt;window.ran=1&lt;/script&gt;"), "{html}");
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("style="), "{html}");
}

fn keep_picture(browser: &mut Browser, name: &str) {
    if let Some(dir) = std::env::var_os("PAGE_SCREENSHOTS") {
        browser.screenshot(&PathBuf::from(dir).join(name));
    }
}
