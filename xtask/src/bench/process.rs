//! What the kernel says of processes, cores and memory.

use std::fs;
use std::io;
use std::time::Duration;

/// The unit of times in `/proc`: on Linux the same wherever it runs.
const TICK: Duration = Duration::from_millis(10);

/// The time that a process has had of its cores.
pub(super) fn cpu(pid: u32) -> io::Result<Duration> {
    // To the nanosecond where the kernel keeps it, for each thread.
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two.
        let schedstat = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        nanos += schedstat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
    }
    if nanos > 0 {
        return Ok(Duration::from_nanos(nanos));
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(TICK * ticks_of_process(&stat).unwrap_or(0))
}

/// The bytes of memory that a process takes; of what it shares with others its part.
pub(super) fn memory(pid: u32) -> io::Result<u64> {
    let shares = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    if let Some(bytes) = bytes(&shares, "Pss:") {
        return Ok(bytes);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    bytes(&status, "VmRSS:").ok_or_else(|| io::Error::other("the kernel does not tell the server's memory"))
}

/// The bytes that the kernel has in structures of its own, all sockets among them.
pub(super) fn kernel_memory() -> io::Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    bytes(&memory, "Slab:").ok_or_else(|| io::Error::other("the kernel does not tell its memory"))
}

/// The time that a core has worked, for whomever.
pub(super) fn busy(core: usize) -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = ticks_of_core(&stat, core);
    Ok(TICK * ticks.ok_or_else(|| io::Error::other("the kernel does not tell what the cores do"))?)
}

/// `utime` and `stime` in `/proc/PID/stat`. The program's name before them may hold anything.
fn ticks_of_process(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
}

/// All in the core's line of `/proc/stat` but for idle, iowait, and what other machines took.
fn ticks_of_core(stat: &str, core: usize) -> Option<u32> {
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let fields: Vec<u32> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    Some([0, 1, 2, 5, 6].iter().filter_map(|field| fields.get(*field)).sum())
}

/// What a line that begins so says, in kB.
fn bytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_found_behind_any_name() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 321 45 0 0 20 0 9 0 123456 0";
        assert_eq!(ticks_of_process(stat), Some(366));
        assert_eq!(ticks_of_process("42 (a) S 1"), None);
    }

    #[test]
    fn the_time_of_a_core_is_its_own_and_without_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9\ncpu0 1 2 4 1000 2000 8 16 3000 0 0\ncpu1 5 0 0 0 0 0 0 0 0 0\nintr 1\n";
        assert_eq!((ticks_of_core(stat, 0), ticks_of_core(stat, 1), ticks_of_core(stat, 2)), (Some(31), Some(5), None));
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let text = "Name:\tserver\nVmHWM:\t  99 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!((bytes(text, "VmRSS:"), bytes(text, "Pss:")), (Some(1234 * 1024), None));
    }

    #[test]
    fn this_process_has_had_time_and_takes_memory() {
        let pid = std::process::id();
        assert!(cpu(pid).unwrap() > Duration::ZERO);
        assert!(memory(pid).unwrap() > 100 * 1024);
        assert!(kernel_memory().unwrap() > 0);
    }
}
