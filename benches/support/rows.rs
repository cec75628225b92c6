//! Records of the new API, as large and as varied as the vendor's: about 570 bytes a row.

use std::fmt::Write as _;

/// One orchestration; `number` makes it different from the others.
pub(crate) fn orchestration(number: usize) -> String {
    let status = ["COMPLETED", "COMPLETED", "COMPLETED", "PROCESSING", "FAILED"][number % 5];
    let target = ["PYUSD", "USDG", "USDP"][number % 3];
    let (minute, second) = (number / 60 % 60, number % 60);
    format!(
        concat!(
            r#"{{"id":"3d7a1e5b-9c2f-4d8a-a6b3-{number:012x}","profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c","#,
            r#""customer_id":"a1b2c3d4-5e6f-7a8b-9c0d-e1f2a3b4c5d6","ref_id":"usd-{number:08x}","source_asset":"USD","#,
            r#""destination_asset":"{target}","source_amount":"{number}.25","status":"{status}","#,
            r#""source":{{"profile":{{"profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c"}}}},"#,
            r#""destination":{{"profile":{{"profile_id":"7c4e8f2a-1d3b-4a5e-9f6c-8b2d7e0a4f1c"}}}},"#,
            r#""created_at":"2026-04-20T12:{minute:02}:{second:02}.397730Z","updated_at":"2026-04-20T13:{minute:02}:{second:02}.104412Z","#,
            r#""metadata":{{"order":"{number:08}"}}}}"#,
        ),
        number = number,
        target = target,
        status = status,
        minute = minute,
        second = second,
    )
}

/// A list answer of so many rows, oldest first, without a cursor.
pub(crate) fn list(rows: usize) -> String {
    let mut body = String::from(r#"{"items":["#);
    for number in 0..rows {
        // Writing to a String cannot fail.
        let _ = write!(body, "{}{}", if number == 0 { "" } else { "," }, orchestration(number));
    }
    body.push_str("]}");
    body
}
