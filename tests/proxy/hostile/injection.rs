//! What clients put into ids, cursors, queries and bodies stays data: it ends no line, no path segment and no parameter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conversion_shim::sandbox::{PROFILE, TOKEN};
use serde_json::json;

use super::{asked, problem, unharmed};
use crate::support::wire::raw::RawConnection;
use crate::support::wire::{LEGACY, TestBed, bed};

/// Escaped, so that they get past the reading of the head.
const EVIL: [&str; 16] = [
    "%0d%0aX-Evil:%201",
    "a%0d%0a%0d%0aPOST%20/v2/conversion/stablecoins%20HTTP/1.1",
    "%0aX-Evil:1",
    "%00",
    "a%00b",
    "a%20HTTP/1.1%0d%0aX-Evil:%201",
    "a%3fx-evil=1",
    "a%26x-evil=1",
    "a%23x",
    "a%2525%250d%250aX-Evil",
    "%e2%80%a8X-Evil",
    "%ff%fe",
    "%c0%af",
    "%7f%1b",
    "a%3b%20x-evil",
    "%22%27%3c%3e%60%7b%7d%5c",
];

async fn get(bed: &TestBed, target: &str) -> String {
    let mut line = RawConnection::to(bed.shim.address).await;
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    );
    line.say(head).await;
    let status = line.message().await.status().to_owned();
    assert!(line.is_cut().await, "one answer: {target}");
    status
}

/// Every request upstream has the family's path and nothing that a client smuggled in.
fn is_clean(bed: &TestBed, attack: &str) {
    for seen in bed.sandbox.inspector().requests() {
        let asked = &seen.path_and_query;
        assert!(
            seen.headers.keys().all(|name| !name.as_str().contains("evil")),
            "{attack}: {:?}",
            seen.headers
        );
        assert!(asked.bytes().all(|byte| byte.is_ascii_graphic()), "{attack}: {asked}");
        let rest = asked
            .strip_prefix("/v2/orchestration/orchestrations")
            .unwrap_or_else(|| panic!("{attack}: {asked}"));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        assert!(path.matches('/').count() <= 1, "{attack}: {asked}");
        let names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned());
        for name in names {
            let known = [
                "profile_id",
                "ref_id",
                "limit",
                "order",
                "page_cursor",
                "source_asset",
                "destination_asset",
            ];
            assert!(known.contains(&name.as_str()) || name.starts_with("created_at."), "{attack}: {asked}");
        }
    }
}

#[tokio::test]
async fn an_id_is_one_segment_whatever_is_in_it() {
    let bed = bed("sealed", &[]).await;
    for evil in EVIL {
        for id in [evil.to_owned(), format!("x{evil}"), format!("..%2f{evil}")] {
            let status = get(&bed, &format!("{LEGACY}/{id}")).await;
            assert!(["400", "404", "200"].contains(&status.as_str()), "{id}: {status}");
        }
    }
    let through = |seen: &conversion_shim::sandbox::ReceivedRequest| {
        !seen.path_and_query.starts_with("/v2/orchestration/")
    };
    // An id that is a path of its own is no id: it goes through as it was written.
    let passed: Vec<_> = bed.sandbox.inspector().requests().into_iter().filter(through).collect();
    assert!(
        passed.iter().all(|seen| seen.path_and_query.starts_with(&format!("{LEGACY}/"))),
        "{:?}",
        asked(&bed.sandbox)
    );
    assert!(passed.iter().all(|seen| seen.headers.keys().all(|name| !name.as_str().contains("evil"))));
    unharmed(&bed, "ids").await;
}

#[tokio::test]
async fn a_query_value_is_one_value_whatever_is_in_it() {
    let bed = bed("sealed", &[]).await;
    for evil in EVIL {
        for name in [
            "profile_id",
            "ref_id",
            "order",
            "limit",
            "created_at.begin",
            "updated_at.end",
            "page_cursor",
            evil,
        ] {
            let status = get(&bed, &format!("{LEGACY}?{name}={evil}")).await;
            assert!(["200", "400", "404"].contains(&status.as_str()), "{name}={evil}: {status}");
            is_clean(&bed, evil);
        }
    }
    unharmed(&bed, "queries").await;
}

#[tokio::test]
async fn a_forged_cursor_is_read_or_refused_and_takes_nothing_along() {
    let bed = bed("sealed", &[]).await;
    let text = |text: &[u8]| [&[1][..], &(text.len() as u64).to_be_bytes(), text].concat();
    let at = 1_700_000_000_000_000_000_i128.to_be_bytes();
    let forged = [
        [&[0][..], &at, &text(b"\r\nX-Evil: 1\r\n\r\n")].concat(),
        [&[1][..], &at, &text(b"a&x-evil=1")].concat(),
        [&[1][..], &at, &text(&[0xff, 0xfe])].concat(),
        [&[2][..], &at].concat(),
        [&[1][..], &i128::MAX.to_be_bytes()[..]].concat(),
        [&[1][..], &i128::MIN.to_be_bytes()[..]].concat(),
        [&[1][..], &at, &[1], &u64::MAX.to_be_bytes()].concat(),
        vec![1; 20_000],
        vec![],
    ];
    for bytes in forged {
        for tag in ["cs1.", "cs2.", ""] {
            let cursor = format!("{tag}{}", URL_SAFE_NO_PAD.encode(&bytes));
            let status = get(&bed, &format!("{LEGACY}?page_cursor={cursor}")).await;
            assert!(["200", "400", "404"].contains(&status.as_str()), "{cursor}: {status}");
        }
    }
    is_clean(&bed, "cursors");
    unharmed(&bed, "cursors").await;
}

#[tokio::test]
async fn bytes_that_no_target_may_hold_are_refused() {
    let bed = bed("sealed", &[]).await;
    for bytes in ["\x00", "\x7f", "\x0b", "a b", "\u{0}x", "a\tb", "\x1b[31m"] {
        for place in [format!("{LEGACY}/{bytes}"), format!("{LEGACY}?ref_id={bytes}")] {
            let mut line = RawConnection::to(bed.shim.address).await;
            line.say(format!("GET {place} HTTP/1.1\r\nhost: shim\r\n\r\n")).await;
            problem(&mut line, "400", &place).await;
        }
    }
    assert!(bed.sandbox.inspector().requests().is_empty());
    unharmed(&bed, "targets").await;
}

#[tokio::test]
async fn what_a_body_holds_reaches_the_new_api_as_json_and_as_nothing_else() {
    let bed = bed("sealed", &[]).await;
    let evil = "x\"},\"destination_asset\":\"USDP\",\"y\":{\"\r\nX-Evil: 1\r\n\r\n";
    let body = json!({
        "profile_id": PROFILE, "amount": "1", "source_asset": "USD", "target_asset": "PYUSD", "ref_id": evil,
        "metadata": { evil: evil },
    });
    let answer = bed.client.post(LEGACY, &body).await;
    let seen = bed.sandbox.inspector().requests();
    for request in &seen {
        assert!(request.headers.keys().all(|name| !name.as_str().contains("evil")));
        let sent: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (&sent["ref_id"], &sent["destination_asset"], &sent["metadata"][evil]),
            (&json!(evil), &json!("PYUSD"), &json!(evil))
        );
    }
    assert_eq!((answer.status, seen.len()), (200, 1), "{answer:?}");
    assert_eq!(answer.json()["ref_id"], evil);
}
