//! The paths inside that everything passes through, as `benches/paths` measures them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use serde_json::Value;

use super::figures::Unit;
use super::turns::Turns;
use crate::Result;
use crate::workspace::cargo;

/// Tells criterion where to write.
const FOLDER_VARIABLE: &str = "CRITERION_HOME";

/// Runs the benchmarks, and reads what they have written.
pub(super) fn measure(target: &Path) -> Result<Turns> {
    let folder = target.join("criterion");
    let began = SystemTime::now();
    println!("   cargo bench --package xtask");
    let mut command = cargo();
    command.args(["bench", "--package", "xtask", "--", "--quiet"]).env(FOLDER_VARIABLE, &folder).stdout(Stdio::null());
    if !command.status().map_err(|error| format!("can't run cargo: {error}"))?.success() {
        return Err("the benchmarks of the paths have failed".into());
    }
    let mut turns = Turns::default();
    let mut found = Vec::new();
    find(&folder, &mut found)?;
    found.sort();
    for folder in found {
        let estimates = folder.join("estimates.json");
        // What is older is of a benchmark that is no more.
        if fs::metadata(&estimates)?.modified()? >= began {
            let (name, nanos) = parse(&read(&folder.join("benchmark.json"))?, &read(&estimates)?)
                .ok_or_else(|| format!("there is no figure in {}", folder.display()))?;
            turns.add(&name, Unit::Nanoseconds, nanos);
        }
    }
    Ok(turns)
}

/// The folders named `new`, each with what a benchmark has given this time.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| format!("can't read {}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.ends_with("new") {
                found.push(path);
            } else {
                find(&path, found)?;
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// A benchmark's name, and the nanoseconds that each thing takes of which it does many at once.
fn parse(benchmark: &Value, estimates: &Value) -> Option<(String, f64)> {
    let nanos = estimates["median"]["point_estimate"].as_f64()?;
    let at_once = benchmark["throughput"]["Elements"].as_f64().unwrap_or(1.0);
    Some((benchmark["full_id"].as_str()?.to_owned(), nanos / at_once))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_tells_the_time_of_one_of_many() {
        let json = |text| serde_json::from_str::<Value>(text).unwrap();
        let estimates = json(r#"{"mean":{"point_estimate":9.0},"median":{"point_estimate":1600.0}}"#);
        let many = json(r#"{"full_id":"append/batch","throughput":{"Elements":16}}"#);
        assert_eq!(parse(&many, &estimates), Some(("append/batch".to_owned(), 100.0)));
        let one = json(r#"{"full_id":"parse/json","throughput":null}"#);
        assert_eq!(parse(&one, &estimates), Some(("parse/json".to_owned(), 1600.0)));
        assert_eq!(parse(&one, &json("{}")), None);
    }

    #[test]
    fn what_was_measured_this_time_is_found_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/new", "a/base", "b/c/new", "report"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let mut found = Vec::new();
        find(folder.path(), &mut found).unwrap();
        found.sort();
        assert_eq!(found, ["a/new", "b/c/new"].map(|path| folder.path().join(path)));
    }
}
