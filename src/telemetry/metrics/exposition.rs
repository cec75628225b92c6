//! Figures as text for Prometheus (the OpenMetrics text format, which adds each type's suffix: `_total`, `_info`, a unit's).

use std::borrow::Cow;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use crate::telemetry::metrics::registry::{Buckets, Counters, HistogramSnapshot, Histograms, Key};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with; but for those of the process, which are the same everywhere.
const PREFIX: &str = "conversion_shim_";

/// Labels with their values.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// One metric with all its series.
#[derive(Debug)]
pub struct Figure {
    name: String,
    help: &'static str,
    unit: Option<Unit>,
    series: Series,
}

#[derive(Debug)]
enum Series {
    Counts(Vec<(Labels, u64)>),
    Gauges(Vec<(Labels, f64)>),
    Infos(Vec<Labels>),
    Histograms(&'static Buckets, Vec<(Labels, HistogramSnapshot)>),
}

impl Figure {
    /// Counters, with all their series.
    #[must_use]
    pub fn counters<K: Key>(name: &str, help: &'static str, counters: &Counters<K>) -> Self {
        Self::counts(name, help, counters.all().map(|(key, count)| (labels(key), count)).collect())
    }

    /// Counters of which only those are shown that have counted: most of their series never will.
    #[must_use]
    pub fn counters_seen<K: Key>(name: &str, help: &'static str, counters: &Counters<K>) -> Self {
        let seen = counters.all().filter(|(_, count)| *count > 0);
        Self::counts(name, help, seen.map(|(key, count)| (labels(key), count)).collect())
    }

    /// Counts that somebody else keeps.
    #[must_use]
    pub fn counts(name: &str, help: &'static str, counts: Vec<(Labels, u64)>) -> Self {
        Self::new(name, help, Series::Counts(counts))
    }

    /// Values that go up and down. What cannot be read is left out.
    #[must_use]
    pub fn gauges(name: &str, help: &'static str, values: Vec<(Labels, f64)>) -> Self {
        Self::new(name, help, Series::Gauges(values))
    }

    /// One value that goes up and down; `None` = it cannot be read.
    #[must_use]
    pub fn gauge(name: &str, help: &'static str, value: Option<f64>) -> Self {
        Self::gauges(name, help, value.map(|value| (Vec::new(), value)).into_iter().collect())
    }

    /// Texts: the labels are what is told.
    #[must_use]
    pub fn infos(name: &str, help: &'static str, infos: Vec<Labels>) -> Self {
        Self::new(name, help, Series::Infos(infos))
    }

    /// Histograms; those of times are in seconds.
    #[must_use]
    pub fn histograms<K: Key>(name: &str, help: &'static str, histograms: &Histograms<K>) -> Self {
        let shapes = histograms.all().map(|(key, shape)| (labels(key), shape)).collect();
        let figure = Self::new(name, help, Series::Histograms(histograms.scale, shapes));
        if histograms.scale.per_unit == 1 { figure } else { figure.seconds() }
    }

    fn new(name: &str, help: &'static str, series: Series) -> Self {
        Self { name: format!("{PREFIX}{name}"), help, unit: None, series }
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> Self {
        Self { unit: Some(Unit::Seconds), ..self }
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> Self {
        Self { unit: Some(Unit::Bytes), ..self }
    }

    /// Under the name that every process has it by.
    #[must_use]
    pub fn of_any_process(self) -> Self {
        let name = self.name.strip_prefix(PREFIX).unwrap_or(&self.name).to_owned();
        Self { name, ..self }
    }

    fn is_empty(&self) -> bool {
        match &self.series {
            Series::Counts(series) => series.is_empty(),
            Series::Gauges(series) => series.is_empty(),
            Series::Infos(series) => series.is_empty(),
            Series::Histograms(_, series) => series.is_empty(),
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let kind = match &self.series {
            Series::Counts(_) => MetricType::Counter,
            Series::Gauges(_) => MetricType::Gauge,
            Series::Infos(_) => MetricType::Info,
            Series::Histograms(..) => MetricType::Histogram,
        };
        let mut encoder = encoder.encode_descriptor(&self.name, self.help, self.unit.as_ref(), kind)?;
        match &self.series {
            Series::Counts(series) => each(&mut encoder, series, |encoder, count| {
                encoder.encode_counter(count, None::<&Exemplar<NoLabelSet, u64>>)
            }),
            Series::Gauges(series) => {
                each(&mut encoder, series, |encoder, value| encoder.encode_gauge(value))
            }
            Series::Infos(series) => series.iter().try_for_each(|labels| encoder.encode_info(labels)),
            Series::Histograms(scale, series) => each(&mut encoder, series, |encoder, shape| {
                let (sum, buckets) = scaled(scale, shape);
                encoder.encode_histogram::<NoLabelSet>(sum, shape.count(), &buckets, None)
            }),
        }
    }
}

fn each<T>(
    encoder: &mut MetricEncoder<'_>,
    series: &[(Labels, T)],
    one: impl Fn(&mut MetricEncoder<'_>, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    series.iter().try_for_each(|(labels, value)| {
        if labels.is_empty() { one(encoder, value) } else { one(&mut encoder.encode_family(labels)?, value) }
    })
}

/// The sum and the buckets, in the unit that is shown.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "times and numbers of calls, not money"
)]
fn scaled(scale: &Buckets, shape: &HistogramSnapshot) -> (f64, Vec<(f64, u64)>) {
    let shown = |observed: u64| observed as f64 / scale.per_unit as f64;
    let ends = scale.ends.iter().map(|end| shown(*end)).chain([f64::INFINITY]);
    (shown(shape.sum), ends.zip(shape.counts.iter().copied()).collect())
}

/// The labels of a key.
#[must_use]
pub fn labels<K: Key>(key: K) -> Labels {
    let mut labels = Vec::new();
    key.tell(&mut labels);
    labels.into_iter().map(|(name, value)| (name, value.into())).collect()
}

#[derive(Debug)]
struct Sheet(Vec<Figure>);

impl Collector for Sheet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.0.iter().filter(|figure| !figure.is_empty()).try_for_each(|figure| figure.encode(&mut encoder))
    }
}

/// Figures as text; those without any series are left out.
#[must_use]
pub fn to_text(figures: Vec<Figure>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Sheet(figures)));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::registry::TIMES;
    use crate::translate::side::Side;

    #[test]
    fn names_units_and_suffixes_are_those_of_the_format() {
        let calls = Counters::<(Side,)>::default();
        calls.add((Side::New,));
        let times = Histograms::<()>::new(&TIMES);
        times.observe((), 1_500_000);
        let hostile = vec![("name", "a\"b\\c\nd".into())];
        let text = to_text(vec![
            Figure::counters_seen("calls", "Calls.", &calls),
            Figure::histograms("wait", "Waiting.", &times),
            Figure::gauge("absent", "Not there.", None),
            Figure::gauge("process_open_fds", "Open.", Some(7.0)).of_any_process(),
            Figure::infos("build", "Which.", vec![hostile]),
        ]);
        for line in [
            "# TYPE conversion_shim_calls counter",
            "conversion_shim_calls_total{side=\"new\"} 1",
            "conversion_shim_wait_seconds_sum 1.5",
            "conversion_shim_wait_seconds_bucket{le=\"1.0\"} 0",
            "conversion_shim_wait_seconds_bucket{le=\"2.5\"} 1",
            "conversion_shim_wait_seconds_bucket{le=\"+Inf\"} 1",
            "process_open_fds 7.0",
            r#"conversion_shim_build_info{name="a\"b\\c\nd"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("legacy") && !text.contains("absent"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
