//! A histogram of whole numbers that come many at a time: what a run of messages has is counted once for the run.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Histogram, Metric, MetricFamily, MetricType},
};

/// The histogram. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Steps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    desc: Desc,
    /// Inclusive upper bounds of all buckets but the last, rising.
    bounds: &'static [u64],
    buckets: [AtomicU64; MOST],
    sum: AtomicU64,
}

/// Observations that are not in the histogram yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    buckets: [u64; MOST],
    sum: u64,
}

impl Steps {
    /// Makes an empty one. There may be fewer than [`MOST`] bounds.
    pub(super) fn new(desc: Desc, bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.len() < MOST && bounds.is_sorted());
        Self(Arc::new(Inner { desc, bounds, buckets: Default::default(), sum: AtomicU64::new(0) }))
    }

    /// Notes `value` as seen `times` times.
    pub(super) fn note(&self, tally: &mut Tally, value: u64, times: u64) {
        tally.buckets[self.0.bounds.partition_point(|bound| *bound < value)] += times;
        tally.sum += value * times;
    }

    /// Adds what was noted: an atomic for each bucket that has something, and one for the sum.
    pub(super) fn add(&self, tally: &Tally) {
        for (bucket, more) in self.0.buckets.iter().zip(tally.buckets) {
            if more > 0 {
                bucket.fetch_add(more, Relaxed);
            }
        }
        self.0.sum.fetch_add(tally.sum, Relaxed);
    }
}

impl Collector for Steps {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    /// The count is made of the buckets, so the two always agree; the sum may be a moment ahead or behind.
    fn collect(&self) -> Vec<MetricFamily> {
        let mut count = 0;
        let counts: Vec<u64> = self.0.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let bucket = |(bound, more): (&u64, &u64)| {
            count += more;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(self.0.bounds.iter().zip(&counts).map(bucket).collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(self.0.sum.load(Relaxed) as f64);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

/// Names a histogram without labels.
pub(super) fn desc(name: &str, help: &str) -> prometheus::Result<Desc> {
    Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
}

/// Buckets, the one without a bound included.
const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_at_once_counts_as_each_by_itself() {
        let name = ["steps", "plain"];
        let steps = Steps::new(desc(name[0], "-").unwrap(), &[1, 10, 100]);
        let options = prometheus::HistogramOpts::new(name[1], "-").buckets(vec![1., 10., 100.]);
        let plain = prometheus::Histogram::with_opts(options).unwrap();
        let mut tally = Tally::default();
        for (value, times) in [(0, 1), (1, 2), (2, 3), (10, 1), (11, 4), (100, 1), (101, 2)] {
            steps.note(&mut tally, value, times);
            (0..times).for_each(|_| plain.observe(value as f64));
        }
        steps.add(&tally);
        steps.add(&Tally::default());
        let of = |family: MetricFamily| family.get_metric()[0].get_histogram().clone();
        assert_eq!(of(steps.collect().remove(0)), of(plain.collect().remove(0)));
    }
}
