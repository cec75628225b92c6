//! Bodies as the two APIs would write them, made from a fixed seed: every run measures the same bytes.

use std::fmt::Write as _;

use uuid::{Builder, Uuid};

/// The seed of the one record: the create asks for it, and the get reads it.
const ONE: u64 = 11;

/// A client's create, in the legacy shape, of the conversion that [`orchestration`] is the answer to.
pub(crate) fn create_request() -> String {
    let mut ids = Ids::new(ONE);
    let (_, reference, profile, order) = (ids.next(), ids.next(), ids.next(), ids.next());
    format!(
        concat!(
            r#"{{"ref_id":"{}","profile_id":"{}","amount":"100.25","source_asset":"USD","target_asset":"PYUSD","#,
            r#""metadata":{{"order":"{}"}}}}"#
        ),
        reference, profile, order
    )
}

/// The id of [`orchestration`].
pub(crate) fn id() -> Uuid {
    Ids::new(ONE).next()
}

/// One orchestration, as a create or a get answers it.
pub(crate) fn orchestration() -> String {
    let mut out = String::new();
    write_row(&mut out, &mut Ids::new(ONE), 0);
    out
}

/// The last page of a list, newest first: all of its rows are conversions, so one page upstream makes one page downstream.
pub(crate) fn page(rows: usize) -> String {
    let mut ids = Ids::new(13);
    let mut out = String::from(r#"{"items":["#);
    for row in 0..rows {
        if row > 0 {
            out.push(',');
        }
        write_row(&mut out, &mut ids, row);
    }
    out.push_str("]}");
    out
}

fn write_row(out: &mut String, ids: &mut Ids, row: usize) {
    let status = ["COMPLETED", "COMPLETED", "COMPLETED", "PROCESSING", "FAILED"][row % 5];
    let (id, reference, profile, order) = (ids.next(), ids.next(), ids.next(), ids.next());
    let seconds = 86_399 - row % 86_400;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let written = write!(
        out,
        concat!(
            r#"{{"id":"{id}","profile_id":"{profile}","ref_id":"{reference}","source_amount":"{amount}.25","#,
            r#""source_asset":"USD","destination_asset":"PYUSD","status":"{status}","#,
            r#""created_at":"2026-04-20T{time}.397730Z","updated_at":"2026-04-20T{time}.912204Z","#,
            r#""source":{{"profile":{{"profile_id":"{profile}"}}}},"#,
            r#""destination":{{"profile":{{"profile_id":"{profile}"}}}},"#,
            r#""metadata":{{"order":"{order}"}}}}"#
        ),
        id = id,
        profile = profile,
        reference = reference,
        amount = 100 + row,
        status = status,
        time = time,
        order = order,
    );
    written.expect("writing to a string cannot fail");
}

/// UUIDs from a counter through the splitmix64 mixer: random to look at, the same in every run.
struct Ids(u64);

impl Ids {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.mix().to_le_bytes());
        bytes[8..].copy_from_slice(&self.mix().to_le_bytes());
        Builder::from_random_bytes(bytes).into_uuid()
    }

    const fn mix(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
