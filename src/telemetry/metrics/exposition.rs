//! The OpenMetrics text format. Encoding is `prometheus-client`'s, which appends the suffix of each type and unit (`_total`, `_info`,
//! `_seconds`, `_bytes`).

use std::borrow::Cow;
use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::family::{Buckets, Counters, HistogramSnapshot, Histograms};
use super::label_set::LabelSet;

/// The media type of [`to_text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The prefix of every metric but those of [`Metric::process`].
const PREFIX: &str = "conversion_shim_";

/// The labels of one series.
pub(crate) type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// The declaration of one metric. All of them are in [`registry`](super::registry).
#[derive(Debug)]
pub(crate) struct Metric {
    prefix: &'static str,
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    unit: Option<MetricUnit>,
    kind: MetricType,
    nonzero: bool,
}

#[derive(Clone, Copy, Debug)]
enum MetricUnit {
    Seconds,
    Bytes,
}

impl MetricUnit {
    const fn encoded(self) -> Unit {
        match self {
            Self::Seconds => Unit::Seconds,
            Self::Bytes => Unit::Bytes,
        }
    }
}

/// One metric with the values of all its series at one moment.
#[derive(Debug)]
pub(crate) struct MetricFamily {
    metric: &'static Metric,
    series: Series,
}

#[derive(Debug)]
enum Series {
    Counters(Vec<(Labels, u64)>),
    Gauges(Vec<(Labels, f64)>),
    Infos(Vec<Labels>),
    Histograms(&'static Buckets, Vec<(Labels, HistogramSnapshot)>),
}

impl Metric {
    const fn new(
        kind: MetricType,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { prefix: PREFIX, name, help, labels, unit: None, kind, nonzero: false }
    }

    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricType::Counter, name, labels, help)
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricType::Gauge, name, labels, help)
    }

    /// A metric whose labels are the information and whose value is always 1.
    pub(super) const fn info(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricType::Info, name, labels, help)
    }

    pub(super) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricType::Histogram, name, labels, help)
    }

    pub(super) const fn seconds(self) -> Self {
        Self { unit: Some(MetricUnit::Seconds), ..self }
    }

    pub(super) const fn bytes(self) -> Self {
        Self { unit: Some(MetricUnit::Bytes), ..self }
    }

    /// Exports only series that have counted: most combinations of the labels never will.
    pub(super) const fn only_nonzero(self) -> Self {
        Self { nonzero: true, ..self }
    }

    /// One of the metrics that client libraries export for every process, under the same name everywhere.
    pub(super) const fn process(self) -> Self {
        Self { prefix: "", ..self }
    }
}

impl Metric {
    pub(crate) fn counters<L: LabelSet>(&'static self, counters: &Counters<L>) -> MetricFamily {
        let all = counters.all().filter(|(_, count)| !self.nonzero || *count > 0);
        self.counts(all.map(|(key, count)| (labels(key), count)).collect())
    }

    pub(crate) fn counts(&'static self, counts: Vec<(Labels, u64)>) -> MetricFamily {
        self.family(Series::Counters(counts))
    }

    pub(crate) fn count(&'static self, count: u64) -> MetricFamily {
        self.counts(vec![(Labels::new(), count)])
    }

    /// Leave out a series whose value is not known; never report it as 0.
    pub(crate) fn gauges(&'static self, values: Vec<(Labels, f64)>) -> MetricFamily {
        self.family(Series::Gauges(values))
    }

    /// `None`: the value is not known, and the metric is not exported.
    pub(crate) fn value(&'static self, value: Option<f64>) -> MetricFamily {
        self.gauges(value.map(|value| (Labels::new(), value)).into_iter().collect())
    }

    pub(crate) fn infos(&'static self, infos: Vec<Labels>) -> MetricFamily {
        self.family(Series::Infos(infos))
    }

    pub(crate) fn histograms<L: LabelSet>(&'static self, histograms: &Histograms<L>) -> MetricFamily {
        let all = histograms.all().map(|(key, snapshot)| (labels(key), snapshot));
        self.family(Series::Histograms(histograms.buckets, all.collect()))
    }

    fn family(&'static self, series: Series) -> MetricFamily {
        let family = MetricFamily { metric: self, series };
        debug_assert!(family.is_as_declared(), "{family:?}");
        family
    }
}

impl MetricFamily {
    /// Whether type and label names are those of the declaration.
    fn is_as_declared(&self) -> bool {
        let declared =
            |labels: &Labels| labels.iter().map(|(name, _)| *name).eq(self.metric.labels.iter().copied());
        match (&self.series, self.metric.kind) {
            (Series::Counters(series), MetricType::Counter) => {
                series.iter().all(|(labels, _)| declared(labels))
            }
            (Series::Gauges(series), MetricType::Gauge) => series.iter().all(|(labels, _)| declared(labels)),
            (Series::Infos(series), MetricType::Info) => series.iter().all(declared),
            (Series::Histograms(_, series), MetricType::Histogram) => {
                series.iter().all(|(labels, _)| declared(labels))
            }
            (Series::Counters(_) | Series::Gauges(_) | Series::Infos(_) | Series::Histograms(..), _) => false,
        }
    }

    fn is_empty(&self) -> bool {
        match &self.series {
            Series::Counters(series) => series.is_empty(),
            Series::Gauges(series) => series.is_empty(),
            Series::Infos(series) => series.is_empty(),
            Series::Histograms(_, series) => series.is_empty(),
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Metric { prefix, name, help, unit, kind, .. } = self.metric;
        let unit = unit.map(MetricUnit::encoded);
        let name = format!("{prefix}{name}");
        let mut encoder = encoder.encode_descriptor(&name, help, unit.as_ref(), *kind)?;
        match &self.series {
            Series::Counters(series) => each(&mut encoder, series, |encoder, count| {
                encoder.encode_counter(count, None::<&Exemplar<NoLabelSet, u64>>)
            }),
            Series::Gauges(series) => {
                each(&mut encoder, series, |encoder, value| encoder.encode_gauge(value))
            }
            Series::Infos(series) => series.iter().try_for_each(|labels| encoder.encode_info(labels)),
            Series::Histograms(buckets, series) => each(&mut encoder, series, |encoder, snapshot| {
                let (sum, counts) = exported(buckets, snapshot);
                encoder.encode_histogram::<NoLabelSet>(sum, snapshot.count(), &counts, None)
            }),
        }
    }
}

fn each<T>(
    encoder: &mut MetricEncoder<'_>,
    series: &[(Labels, T)],
    encode: impl Fn(&mut MetricEncoder<'_>, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    series.iter().try_for_each(|(labels, value)| {
        if labels.is_empty() {
            encode(encoder, value)
        } else {
            encode(&mut encoder.encode_family(labels)?, value)
        }
    })
}

/// The sum, and each bucket's bound and count, in the exported unit.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "durations and numbers of calls, not money"
)]
fn exported(buckets: &Buckets, snapshot: &HistogramSnapshot) -> (f64, Vec<(f64, u64)>) {
    let exported = |observed: u64| observed as f64 / buckets.per_unit as f64;
    let bounds = buckets.bounds.iter().map(|bound| exported(*bound)).chain([f64::INFINITY]);
    (exported(snapshot.sum), bounds.zip(snapshot.counts.iter().copied()).collect())
}

/// The labels of a series.
pub(crate) fn labels<L: LabelSet>(key: L) -> Labels {
    let mut labels = Vec::new();
    key.append_to(&mut labels);
    labels.into_iter().map(|(name, value)| (name, value.into())).collect()
}

#[derive(Debug)]
struct Families(Vec<MetricFamily>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.0.iter().filter(|family| !family.is_empty()).try_for_each(|family| family.encode(&mut encoder))
    }
}

/// The text format of `families`. One without series is left out.
pub(crate) fn to_text(families: Vec<MetricFamily>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut text, &registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::family::DURATIONS;
    use crate::translate::side::Side;

    const CALLS: Metric = Metric::counter("calls", &["side"], "Calls.").only_nonzero();
    const WAIT: Metric = Metric::histogram("wait", &[], "Waiting.").seconds();
    const ABSENT: Metric = Metric::gauge("absent", &[], "Unknown.");
    const OPEN_FDS: Metric = Metric::gauge("process_open_fds", &[], "Open.").process();
    const BUILD: Metric = Metric::info("build", &["name"], "Build.");

    #[test]
    fn names_units_and_suffixes_follow_openmetrics() {
        let calls = Counters::<(Side,)>::default();
        calls.add((Side::New,));
        let wait = Histograms::<()>::new(&DURATIONS);
        wait.observe((), 1_500_000);
        let text = to_text(vec![
            CALLS.counters(&calls),
            WAIT.histograms(&wait),
            ABSENT.value(None),
            OPEN_FDS.value(Some(7.0)),
            BUILD.infos(vec![vec![("name", "a\"b\\c\nd".into())]]),
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
            assert!(text.lines().any(|exported| exported == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("legacy") && !text.contains("absent"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    #[should_panic(expected = "endpoint")]
    fn labels_that_are_not_declared_are_a_bug() {
        let _ = CALLS.counts(vec![(vec![("endpoint", "get".into())], 1)]);
    }
}
