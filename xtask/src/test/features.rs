//! Sets of a package's features.

use crate::tidy::{OTHER_PARTS, OWN_MATTERS};
use crate::workspace::Package;

/// The feature that stands for all the others, where a package has one.
const FULL: &str = "full";

/// Which features a package is built with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeatureSet {
    /// Whatever there is, the defaults included.
    All,
    /// These, and no defaults.
    These(Vec<String>),
}

impl FeatureSet {
    /// The feature `full` alone.
    pub(super) fn full() -> Self {
        Self::These(vec![FULL.to_owned()])
    }

    /// No feature, then each one alone. Empty for a package that has no features, since there is nothing to leave out.
    pub(super) fn none_and_each(package: &Package) -> Vec<Self> {
        Self::combinations(package).into_iter().filter(Self::is_none_or_one).collect()
    }

    /// Every combination, the small ones first. Empty for a package that has no features.
    ///
    /// The other parts of a host have nothing to do with its transports, nor has what concerns it alone: each of them is
    /// there alone, and in no combination.
    pub(super) fn combinations(package: &Package) -> Vec<Self> {
        let features = package.features().into_iter().filter(|name| *name != FULL);
        let (others, names): (Vec<_>, Vec<_>) =
            features.partition(|name| OTHER_PARTS.contains(name) || OWN_MATTERS.contains(name));
        if others.is_empty() && names.is_empty() {
            return Vec::new();
        }
        let mut combinations = vec![Vec::new()];
        for name in names {
            let with = combinations.iter().map(|set| [set.as_slice(), &[name.to_owned()]].concat());
            combinations.extend(with.collect::<Vec<_>>());
        }
        combinations.extend(others.into_iter().map(|name| vec![name.to_owned()]));
        combinations.sort_by_key(Vec::len);
        combinations.into_iter().map(Self::These).collect()
    }

    /// Whether it is no feature, or a single one.
    pub(super) fn is_none_or_one(&self) -> bool {
        matches!(self, Self::These(names) if names.len() <= 1)
    }

    /// What to tell cargo.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self {
            Self::All => vec!["--all-features".to_owned()],
            Self::These(names) if names.is_empty() => vec!["--no-default-features".to_owned()],
            Self::These(names) => vec!["--no-default-features".to_owned(), "--features".to_owned(), names.join(",")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(features: &str) -> Package {
        let manifest = format!("[features]\n{features}").parse().unwrap();
        Package { name: "p".to_owned(), folder: "p".to_owned(), manifest }
    }

    fn shown(sets: &[FeatureSet]) -> Vec<String> {
        sets.iter().map(|set| set.arguments().last().unwrap().clone()).collect()
    }

    #[test]
    fn combinations_are_all_of_them_without_full_and_default() {
        let package = package("default = ['a']\nfull = ['a', 'b', 'c']\na = []\nb = []\nc = []");
        let combinations = FeatureSet::combinations(&package);
        assert_eq!(shown(&combinations), ["--no-default-features", "a", "b", "c", "a,b", "a,c", "b,c", "a,b,c"]);
        assert_eq!(combinations[4].arguments(), ["--no-default-features", "--features", "a,b"]);
        assert_eq!(shown(&FeatureSet::none_and_each(&package)), ["--no-default-features", "a", "b", "c"]);
    }

    #[test]
    fn another_part_than_a_transport_is_combined_with_none() {
        let combinations = FeatureSet::combinations(&package(
            "full = ['a', 'b', 'web', 'jemalloc']\na = []\nb = []\nweb = []\njemalloc = []",
        ));
        assert_eq!(shown(&combinations), ["--no-default-features", "a", "b", "jemalloc", "web", "a,b"]);
    }

    #[test]
    fn a_package_without_features_has_nothing_to_combine() {
        assert_eq!(FeatureSet::combinations(&package("")), []);
        assert_eq!(FeatureSet::none_and_each(&package("default = []")), []);
    }
}
