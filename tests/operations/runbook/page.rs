//! The page as data: its headings, and the blocks under them.

/// The whole page.
pub(crate) fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbook.md")).unwrap()
}

/// The page's part under one heading.
pub(crate) struct Step<'a>(&'a str);

impl<'a> Step<'a> {
    pub(crate) fn under(page: &'a str, heading: &str) -> Self {
        let (_, after) = page.split_once(&format!("\n## {heading}\n")).expect(heading);
        Self(after.split("\n## ").next().unwrap())
    }

    /// Its commands behind so many blocks of config, and before the next one.
    pub(crate) fn commands_behind(&self, configs: usize) -> Vec<&'a str> {
        Self(self.0.split("```toml\n").nth(configs).unwrap()).blocks("sh")
    }

    /// Its blocks of this language.
    pub(crate) fn blocks(&self, language: &str) -> Vec<&'a str> {
        let fence = format!("```{language}\n");
        self.0.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }
}

/// Every heading that has a block of config under it, with that block's place.
pub(crate) fn configs(page: &str) -> Vec<(String, usize)> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let places = headings.flat_map(|heading| {
        let blocks = Step::under(page, heading).blocks("toml").len();
        (0..blocks).map(move |at| (heading.to_owned(), at))
    });
    places.collect()
}

/// The shipped config with a block in the place of the first one, which is the line with `stage`.
pub(crate) fn with_block(shipped: &str, block: &str) -> String {
    let first = "\nstage = \"observe\"\n";
    assert_eq!(shipped.matches(first).count(), 1);
    shipped.replace(first, &format!("\n{block}"))
}
