//! Lists: filters, order, limits, cursors, shapes.

use super::*;

/// Pages through a list and answers the ids in the order in which they came.
async fn page_through(client: &Caller, path: &str, query: &str, rows: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let (status, page) = client.get(&format!("{path}?{query}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let items = page[rows].as_array().unwrap();
        assert!(!items.is_empty());
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page.get("next_page_cursor") {
            Some(next) => cursor = format!("&page_cursor={}", next.as_str().unwrap()),
            None => return ids,
        }
    }
    panic!("the list never ends");
}

#[tokio::test]
async fn paging_yields_every_row_once_in_both_orders() {
    let (sandbox, client) = funded(quiet()).await;
    let mut made = BTreeSet::new();
    for number in 0..23 {
        // Equal instants, and some that differ by a nanosecond.
        let at = format!("2026-04-20T12:30:01.00000000{}Z", number % 3);
        made.insert(sandbox.inspector().seed_conversion(json!({ "created_at": at, "status": "SETTLED" })));
        sandbox.inspector().seed_orchestration(json!({ "created_at": at, "status": "COMPLETED" }));
    }
    for limit in [1, 4, 22, 23, 1000] {
        let mut ascending = page_through(&client, LEGACY, &format!("order=ASC&limit={limit}"), "items").await;
        assert_eq!(ascending.len(), 23);
        assert_eq!(ascending.iter().cloned().collect::<BTreeSet<_>>(), made);
        let descending = page_through(&client, LEGACY, &format!("limit={limit}"), "items").await;
        ascending.reverse();
        assert_eq!(ascending, descending);
        assert_eq!(page_through(&client, NEW, &format!("limit={limit}"), "items").await.len(), 23);
    }
}

#[tokio::test]
async fn lists_filter_as_documented() {
    let (sandbox, client) = funded(quiet()).await;
    let seed = |ref_id: &str, profile: &str, second: u8| {
        let at = format!("2026-04-20T12:00:0{second}Z");
        let record = json!({ "ref_id": ref_id, "profile_id": profile, "created_at": at, "status": "X" });
        sandbox.inspector().seed_conversion(record.clone());
        sandbox.inspector().seed_orchestration(record);
    };
    (1..=4).for_each(|second| seed(&format!("r{second}"), if second < 3 { "p" } else { "q" }, second));
    let at = |second: u8| format!("2026-04-20T12:00:0{second}Z");
    let cases = [
        (LEGACY, "profile_id=p".to_owned(), "r2 r1"),
        (LEGACY, "ref_id=r3".to_owned(), "r3"),
        (LEGACY, "status=Y&cursor=z".to_owned(), "r4 r3 r2 r1"),
        (LEGACY, format!("created_at.begin={}&created_at.end={}", at(2), at(3)), "r3 r2"),
        (LEGACY, format!("updated_at.begin={}&order=ASC", at(3)), "r3 r4"),
        (NEW, "ref_id=r1&ref_id=r3".to_owned(), "r3 r1"),
        (NEW, "profile_id=q&status=X".to_owned(), "r4 r3"),
        (NEW, "status=Y".to_owned(), ""),
        (NEW, format!("created_at.gt={}&created_at.lte={}", at(1), at(3)), "r3 r2"),
        (NEW, format!("created_at.gte={}&created_at.lt={}", at(1), at(3)), "r2 r1"),
        (NEW, format!("created_at.eq={}", at(2)), "r2"),
        (NEW, format!("updated_at.begin={}", at(4)), "r4 r3 r2 r1"),
    ];
    for (path, query, expected) in cases {
        let (status, page) = client.get(&format!("{path}?{query}")).await;
        let refs = page["items"].as_array().unwrap().iter().map(|row| row["ref_id"].as_str().unwrap());
        assert_eq!(
            (status.as_u16(), refs.collect::<Vec<_>>().join(" ").as_str()),
            (200, expected),
            "{query}"
        );
    }
}

#[tokio::test]
async fn bad_list_parameters_are_400() {
    let (_sandbox, client) = funded(quiet()).await;
    let too_many = "ref_id=x&".repeat(101);
    let bad_on_both = [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=ten",
        "order=desc",
        "page_cursor=%21",
        "limit=1&limit=1",
    ];
    let bad = bad_on_both.iter().flat_map(|query| [(LEGACY, *query), (NEW, *query)]).chain([
        (LEGACY, "ref_id=a&ref_id=b"),
        (LEGACY, "created_at.begin=yesterday"),
        (NEW, "created_at.gte=yesterday"),
        (NEW, too_many.as_str()),
    ]);
    for (path, query) in bad {
        let (status, problem) = client.get(&format!("{path}?{query}")).await;
        assert_eq!((status.as_u16(), &problem["title"]), (400, &json!("Bad Request")), "{path}?{query}");
    }
}

#[tokio::test]
async fn the_new_list_has_the_configured_shape() {
    for (shape, items, older) in [
        (ListShape::Items, true, false),
        (ListShape::Orchestrations, false, true),
        (ListShape::Both, true, true),
    ] {
        let (_sandbox, client) = funded(Options {
            variants: Variants { list_shape: shape, ..Variants::default() },
            seed: true,
            ..quiet()
        })
        .await;
        let (_, page) = client.get(NEW).await;
        assert_eq!((page.get("items").is_some(), page.get("orchestrations").is_some()), (items, older));
        let rows = page.get("items").or(page.get("orchestrations")).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 4, "the seeded orchestrations");
    }
}
