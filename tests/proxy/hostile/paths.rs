//! Spellings of a path that some server might take for a create or a cancel, as raw bytes, while creates go to new: each is the
//! route, or is refused; none goes through to the old API, which would convert without a claim.

use conversion_shim::sandbox::{Operation, TOKEN};
use conversion_shim::translate::side::Side;

use super::asked;
use crate::support::test_bed::{LEGACY, TestBed, conversion};
use crate::support::wire::raw::RawConnection;

const METHODS: [&str; 7] = ["POST", "DELETE", "PUT", "PATCH", "post", "PROPFIND", "X-POST"];

/// None of these is the route.
const TRICKS: [&str; 24] = [
    "/v2/conversion/stablecoins%00",
    "/v2/conversion/stablecoins%0d%0a",
    "/v2/conversion/stablecoins%20",
    "/v2/conversion/stablecoins%09/",
    "/v2/conversion/stablecoins;x",
    "/v2;x/conversion;y/stablecoins;z",
    "/v2/conversion%5cstablecoins",
    "\\v2\\conversion\\stablecoins",
    "/v2\\conversion/stablecoins",
    "/v2/%5c../conversion/stablecoins/x/y",
    "/v2/conversion%252fstablecoins",
    "/v2/%2563onversion/stablecoins",
    "/v2/%25%36%33onversion/stablecoins",
    "/v2/x/%252e%252e/conversion/stablecoins",
    "/v2/x/..%252fconversion/stablecoins",
    "/v2/x/..;/conversion/stablecoins",
    "/v2/x/..%3b/conversion/stablecoins",
    "/v2/CONVERSION/STABLECOINS",
    "/V2/Conversion/StableCoins",
    "/v2/conversion/stablecoins.json",
    "/v2/conversion/stablecoins/../stablecoins/x/y",
    "/v2/conversion/%2e%2e/conversion/batch",
    "*",
    "shim:80",
];

async fn raw(bed: &TestBed, method: &str, target: &[u8]) -> String {
    let body = conversion("trick").to_string();
    let mut line = RawConnection::to(bed.client.address().parse().unwrap()).await;
    line.say([method.as_bytes(), b" ", target].concat()).await;
    let rest = format!(
        " HTTP/1.1\r\nhost: shim\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    line.say(rest).await;
    line.message().await.status().to_owned()
}

#[tokio::test]
async fn no_trick_with_a_path_reaches_the_old_api_as_a_write() {
    for stage in ["canary", "live"] {
        let bed = TestBed::at(stage).await;
        for target in TRICKS {
            for method in METHODS {
                let status = raw(&bed, method, target.as_bytes()).await;
                assert!(["400", "404"].contains(&status.as_str()), "{method} {target}: {status}");
            }
        }
        for target in [
            b"/v2/conversion/stablecoins\xff".as_slice(),
            b"/v2/conv\xc0\xafersion",
            b"/v2/conversion/\xef\xbc\x8fx",
        ] {
            for method in METHODS {
                let status = raw(&bed, method, target).await;
                assert!(["400", "404"].contains(&status.as_str()), "{method} {target:?}: {status}");
            }
        }
        assert_eq!(asked(&bed.sandbox), [""; 0], "{stage}");
    }
}

/// One conversion for one reference, whatever its path looked like each time.
#[tokio::test]
async fn every_spelling_of_the_route_meets_the_same_claim() {
    let bed = TestBed::at("live").await;
    for (at, target) in [
        LEGACY,
        "/v2/conversion/stablecoins/",
        "//v2//conversion//stablecoins//",
        "/v2/./conversion/x/../stablecoins",
        "/v2%2fconversion%2Fstablecoins",
        "/%76%32/%63onversion/stablecoin%73",
        "/v2/conversion/x/%2e%2e/stablecoins",
    ]
    .into_iter()
    .enumerate()
    {
        let status = raw(&bed, "POST", target.as_bytes()).await;
        assert_eq!(status, if at == 0 { "200" } else { "409" }, "{target}");
    }
    assert_eq!(bed.made("trick"), crate::support::test_bed::one_on(Side::New));
    assert_eq!(bed.sandbox.inspector().arrived(Side::Legacy, Operation::Create), 0);
}
