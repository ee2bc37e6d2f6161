//! Metrics as text, by the conventions of Prometheus: base units, totals, and labels of few values.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

/// Where the metrics of a page go.
pub type Page<'p> = DescriptorEncoder<'p>;

/// What series of a metric are told apart by.
pub type Labels<'l, const N: usize> = [(&'static str, &'l str); N];

/// The name, help and unit of a metric.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
}

impl Metric {
    /// A number without a unit.
    #[must_use]
    pub const fn count(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            unit: None,
        }
    }

    /// A time.
    #[must_use]
    pub const fn seconds(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            unit: Some(Unit::Seconds),
        }
    }

    /// An amount of data.
    #[must_use]
    pub const fn bytes(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            unit: Some(Unit::Bytes),
        }
    }
}

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// All times together, in seconds.
    pub sum: f64,
    /// How many were at most so many seconds long, and longer than the bound before; the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
}

/// The text of OpenMetrics that `collect` makes.
///
/// # Errors
///
/// Those of `collect`.
pub fn render(
    collect: impl Fn(&mut Page<'_>) -> Result<(), fmt::Error> + Send + Sync + 'static,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collecting(collect)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

struct Collecting<F>(F);

impl<F> fmt::Debug for Collecting<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collecting")
    }
}

impl<F> Collector for Collecting<F>
where
    F: Fn(&mut Page<'_>) -> Result<(), fmt::Error> + Send + Sync + 'static,
{
    fn encode(&self, mut page: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        (self.0)(&mut page)
    }
}

/// Writes values that go up and down.
///
/// # Errors
///
/// None, as long as there is memory.
pub fn gauges<'l, const N: usize>(
    page: &mut Page<'_>,
    about: &Metric,
    values: impl Iterator<Item = (Labels<'l, N>, f64)>,
) -> Result<(), fmt::Error> {
    let kind = MetricType::Gauge;
    let mut metric = page.encode_descriptor(about.name, about.help, about.unit.as_ref(), kind)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Writes values that only go up; their names end with `_total`.
///
/// # Errors
///
/// None, as long as there is memory.
pub fn counters<'l, const N: usize>(
    page: &mut Page<'_>,
    about: &Metric,
    values: impl Iterator<Item = (Labels<'l, N>, f64)>,
) -> Result<(), fmt::Error> {
    let kind = MetricType::Counter;
    let mut metric = page.encode_descriptor(about.name, about.help, about.unit.as_ref(), kind)?;
    for (labels, value) in values {
        let mut family = metric.encode_family(&labels)?;
        family.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
    }
    Ok(())
}

/// Writes what is told by labels alone; their names end with `_info`.
///
/// # Errors
///
/// None, as long as there is memory.
pub fn infos<'l, const N: usize>(
    page: &mut Page<'_>,
    about: &Metric,
    values: impl Iterator<Item = Labels<'l, N>>,
) -> Result<(), fmt::Error> {
    let mut metric = page.encode_descriptor(about.name, about.help, None, MetricType::Info)?;
    for labels in values {
        metric.encode_info(&labels)?;
    }
    Ok(())
}

/// Writes how often something took how long.
///
/// # Errors
///
/// None, as long as there is memory.
pub fn histograms<'l, const N: usize>(
    page: &mut Page<'_>,
    about: &Metric,
    values: impl Iterator<Item = (Labels<'l, N>, Histogram)>,
) -> Result<(), fmt::Error> {
    let kind = MetricType::Histogram;
    let mut metric = page.encode_descriptor(about.name, about.help, about.unit.as_ref(), kind)?;
    for (labels, value) in values {
        let count = value.buckets.iter().map(|(_, count)| count).sum();
        let mut family = metric.encode_family(&labels)?;
        family.encode_histogram::<NoLabelSet>(value.sum, count, &value.buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_written_by_the_conventions() {
        const TIME: Metric = Metric::seconds("x_took", "How long it took");
        let text = render(|page| {
            gauges(
                page,
                &Metric::count("x_now", "Now"),
                [([], 1.5)].into_iter(),
            )?;
            counters(
                page,
                &Metric::bytes("x", "All"),
                [([("a", "b\"\n\\")], 2.0)].into_iter(),
            )?;
            infos(page, &Metric::count("x", "Who"), [[("a", "b")]].into_iter())?;
            let histogram = Histogram {
                sum: 3.5,
                buckets: vec![(1.0, 2), (f64::INFINITY, 1)],
            };
            histograms(page, &TIME, [([("a", "b")], histogram)].into_iter())
        });
        let expected = "# HELP x_now Now\n# TYPE x_now gauge\nx_now 1.5\n\
             # HELP x_bytes All\n# TYPE x_bytes counter\n# UNIT x_bytes bytes\nx_bytes_total{a=\"b\\\"\\n\\\\\"} 2.0\n\
             # HELP x Who\n# TYPE x info\nx_info{a=\"b\"} 1\n\
             # HELP x_took_seconds How long it took\n# TYPE x_took_seconds histogram\n# UNIT x_took_seconds seconds\n\
             x_took_seconds_sum{a=\"b\"} 3.5\nx_took_seconds_count{a=\"b\"} 3\n\
             x_took_seconds_bucket{le=\"1.0\",a=\"b\"} 2\nx_took_seconds_bucket{le=\"+Inf\",a=\"b\"} 3\n# EOF\n";
        assert_eq!(text.unwrap_or_default(), expected);
    }
}
