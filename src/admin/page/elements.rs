//! Elements that several sections use.

use maud::{Markup, html};

/// A table that scrolls sideways in a narrow window, also with the keyboard.
pub(super) fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}
