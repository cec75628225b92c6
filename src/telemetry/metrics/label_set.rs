//! Labels as types: an enum for each label with a fixed list of values, and tuples of them as the key of a series.
//!
//! All values are known at compile time. A client cannot create a series, and a series is found by arithmetic instead of a hash lookup.

/// The name and the value of one label.
pub(crate) type Label = (&'static str, &'static str);

/// An enum whose variants are the values of one label. Implement it with [`label!`].
pub(crate) trait LabelValue: Copy + 'static {
    const LABEL: &'static str;
    /// Every value, each at its [`index`](Self::index).
    const ALL: &'static [Self];
    /// The position in [`ALL`](Self::ALL).
    fn index(self) -> usize;
    /// The value as it is exported.
    fn as_str(self) -> &'static str;
}

/// The labels that identify one series of a metric: `()`, one label, or a tuple of two or four. An optional label without a value is
/// exported as `none`.
pub trait LabelSet: Copy {
    /// How many series there can be.
    const COUNT: usize;
    /// The position of this series, below [`COUNT`](Self::COUNT).
    fn index(self) -> usize;
    /// The series at `index`, which is below [`COUNT`](Self::COUNT).
    fn from_index(index: usize) -> Self;
    /// Appends the labels of this series to `labels`.
    fn append_to(self, labels: &mut Vec<Label>);
}

impl LabelSet for () {
    const COUNT: usize = 1;

    fn index(self) -> usize {
        0
    }

    fn from_index(_: usize) -> Self {}

    fn append_to(self, _: &mut Vec<Label>) {}
}

impl<V: LabelValue> LabelSet for (V,) {
    const COUNT: usize = V::ALL.len();

    fn index(self) -> usize {
        self.0.index()
    }

    fn from_index(index: usize) -> Self {
        (V::ALL[index],)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        labels.push((V::LABEL, self.0.as_str()));
    }
}

impl<V: LabelValue> LabelSet for (Option<V>,) {
    const COUNT: usize = V::ALL.len() + 1;

    fn index(self) -> usize {
        self.0.map_or(0, |value| value.index() + 1)
    }

    fn from_index(index: usize) -> Self {
        (index.checked_sub(1).map(|index| V::ALL[index]),)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        labels.push((V::LABEL, self.0.map_or("none", V::as_str)));
    }
}

impl<A, B> LabelSet for (A, B)
where
    A: Copy,
    B: Copy,
    (A,): LabelSet,
    (B,): LabelSet,
{
    const COUNT: usize = <(A,)>::COUNT * <(B,)>::COUNT;

    fn index(self) -> usize {
        (self.0,).index() * <(B,)>::COUNT + (self.1,).index()
    }

    fn from_index(index: usize) -> Self {
        let (a,) = <(A,)>::from_index(index / <(B,)>::COUNT);
        let (b,) = <(B,)>::from_index(index % <(B,)>::COUNT);
        (a, b)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        (self.0,).append_to(labels);
        (self.1,).append_to(labels);
    }
}

impl<A, B, C, D> LabelSet for (A, B, C, D)
where
    A: Copy,
    B: Copy,
    C: Copy,
    D: Copy,
    (A, B): LabelSet,
    (C, D): LabelSet,
{
    const COUNT: usize = <(A, B)>::COUNT * <(C, D)>::COUNT;

    fn index(self) -> usize {
        (self.0, self.1).index() * <(C, D)>::COUNT + (self.2, self.3).index()
    }

    fn from_index(index: usize) -> Self {
        let (a, b) = <(A, B)>::from_index(index / <(C, D)>::COUNT);
        let (c, d) = <(C, D)>::from_index(index % <(C, D)>::COUNT);
        (a, b, c, d)
    }

    fn append_to(self, labels: &mut Vec<Label>) {
        (self.0, self.1).append_to(labels);
        (self.2, self.3).append_to(labels);
    }
}

/// Implements [`LabelValue`] for an enum whose variants carry no data.
macro_rules! label {
    ($name:ty, $label:literal, $($variant:ident = $text:literal),+ $(,)?) => {
        impl $crate::telemetry::metrics::label_set::LabelValue for $name {
            const LABEL: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}
pub(crate) use label;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Colour {
        Red,
        Blue,
    }
    label!(Colour, "colour", Red = "red", Blue = "blue");

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Size {
        Small,
        Middle,
        Large,
    }
    label!(Size, "size", Small = "small", Middle = "middle", Large = "large");

    #[test]
    fn every_series_has_its_own_index() {
        type All = (Colour, Option<Size>, Size, Colour);
        assert_eq!(All::COUNT, 2 * 4 * 3 * 2);
        for index in 0..All::COUNT {
            assert_eq!(All::from_index(index).index(), index);
        }
        let mut labels = Vec::new();
        (Colour::Blue, None::<Size>, Size::Large, Colour::Red).append_to(&mut labels);
        assert_eq!(labels, [("colour", "blue"), ("size", "none"), ("size", "large"), ("colour", "red")]);
    }
}
