//! What the process itself costs: processor time, memory, file descriptors. Read from `/proc` when somebody
//! scrapes; where there is no `/proc` the series are absent, never zero.

use std::{
    fs, thread,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::metrics::Meter;

/// The figures: name, kind, help. The names are Prometheus' own, so that ordinary dashboards find them.
pub const PROCESS: [(&str, &str, &str); 6] = [
    ("process_cpu_seconds_total", "counter", "Processor time this process has used, in seconds."),
    ("process_cpus", "gauge", "Processors this process may use, control groups included."),
    ("process_max_fds", "gauge", "File descriptors this process may have."),
    ("process_open_fds", "gauge", "File descriptors this process has."),
    ("process_resident_memory_bytes", "gauge", "Memory of this process that is resident, in bytes."),
    ("process_start_time_seconds", "gauge", "When this process began to count, Unix seconds."),
];

/// Gives each figure an instrument.
pub(super) fn observe(meter: &Meter) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|at| at.as_secs_f64());
    let figures: [Box<dyn Fn() -> Option<f64> + Send + Sync>; 6] = [
        Box::new(|| cpu_seconds(&proc("stat")?)),
        Box::new(|| thread::available_parallelism().ok().map(|cpus| cpus.get() as f64)),
        Box::new(|| max_fds(&proc("limits")?)),
        // The listing itself has one open.
        Box::new(|| fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1) as f64)),
        Box::new(|| resident_bytes(&proc("status")?)),
        Box::new(move || started),
    ];
    for ((name, kind, help), figure) in PROCESS.into_iter().zip(figures) {
        if kind == "counter" {
            // The exporter adds the suffix.
            let name = name.trim_end_matches("_total");
            let builder = meter.f64_observable_counter(name).with_description(help);
            builder
                .with_callback(move |to| figure().into_iter().for_each(|value| to.observe(value, &[])))
                .build();
        } else {
            let builder = meter.f64_observable_gauge(name).with_description(help);
            builder
                .with_callback(move |to| figure().into_iter().for_each(|value| to.observe(value, &[])))
                .build();
        }
    }
}

fn proc(file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{file}")).ok()
}

/// User and system time of `/proc/self/stat` (proc(5): fields 14 and 15). The name, field 2, may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024) as f64)
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the kernel shows to processes (`USER_HZ`), whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let stat = "42 (a (strange) name) S 1 1 1 0 -1 4194560 9 8 7 6 150 50 0 0 20 0 3 0 99";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (cut"), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        let limits = "Max open files            1024                 4096                 files";
        assert_eq!(max_fds(limits), Some(1024.0));
    }
}
