//! What this process has used.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// User and system time so far.
pub fn cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or_default(),
        u32::try_from(t.tv_nsec).unwrap_or_default(),
    )
}

/// The peak of resident memory so far, in bytes; 0 where the system does not
/// tell.
pub fn max_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_peak(&status).unwrap_or_default()
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak() {
        for (status, want) in [
            (
                "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 4 kB\n",
                Some(2 << 20),
            ), // as Linux writes it
            ("VmRSS:\t 4 kB\n", None),    // a kernel without it
            ("VmHWM:\t many kB\n", None), // not a number
        ] {
            assert_eq!(parse_peak(status), want, "{status:?}");
        }
    }

    #[test]
    fn this_process() {
        assert!(max_rss() > 100 << 10, "less than any process takes");
        let before = cpu_time();
        std::hint::black_box((0..1_000_000u64).map(std::hint::black_box).sum::<u64>());
        assert!(cpu_time() > before, "work took no time");
    }
}
