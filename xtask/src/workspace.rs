//! The repository as its files tell it: what is a package, and what its manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::{Table, Value};

use crate::Result;

/// Folders that hold nothing of ours. Those that begin with a dot are left out too, but for [`DOT_FOLDERS`].
const FOREIGN_FOLDERS: &[&str] = &["target", "node_modules"];
const DOT_FOLDERS: &[&str] = &[".cargo", ".ci", ".github"];
/// What else is text has no extension at all, as `.ci/run`.
const TEXT: &[&str] = &["rs", "toml", "md", "sh", "yml", "yaml", "js", "ts", "html", "css"];

/// The repository's text files, and the packages among them.
///
/// It holds the text, and not only the paths, so that what is checked about it are pure functions.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
    /// By path from the root, with `/` between the folders.
    pub(crate) files: BTreeMap<String, String>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// From the root, with `/` between the folders.
    pub(crate) folder: String,
    pub(crate) manifest: Table,
}

impl Workspace {
    /// Reads the workspace that the current folder is in.
    pub(crate) fn find() -> Result<Self> {
        let found = cargo()
            .args(["locate-project", "--workspace", "--message-format", "plain"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("can't run cargo: {error}"))?;
        let manifest = PathBuf::from(String::from_utf8(found.stdout)?.trim());
        let root = manifest.parent().ok_or("cargo finds no workspace here")?;
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files).map_err(|error| format!("can't read {}: {error}", root.display()))?;
        Self::new(root, files)
    }

    /// Makes a workspace of its files.
    pub(crate) fn new(root: &Path, files: BTreeMap<String, String>) -> Result<Self> {
        let manifest = parse(&files, "Cargo.toml")?;
        let members = manifest.at("workspace.members").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut packages = Vec::new();
        for member in members.iter().filter_map(Value::as_str) {
            for folder in folders(&files, member) {
                let manifest = parse(&files, &format!("{folder}/Cargo.toml"))?;
                let name = manifest.at("package.name").and_then(Value::as_str);
                let name = name.ok_or_else(|| format!("{folder}/Cargo.toml names no package"))?.to_owned();
                packages.push(Package { name, folder, manifest });
            }
        }
        Ok(Self { root: root.to_owned(), packages, files })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The Rust files below a folder.
    pub(crate) fn rust_files<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
            .filter(|(path, _)| path.ends_with(".rs"))
    }
}

impl Package {
    /// Its features, but for `default`, in the manifest's order of names.
    pub(crate) fn features(&self) -> Vec<&str> {
        let table = self.manifest.get("features").and_then(Value::as_table);
        table.into_iter().flatten().map(|(name, _)| name.as_str()).filter(|name| *name != "default").collect()
    }

    /// What a feature turns on.
    pub(crate) fn feature(&self, name: &str) -> BTreeSet<&str> {
        let list = self.manifest.at(&format!("features.{name}")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What it depends on: for its users, not for its own tests and build.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = (&str, &Value)> {
        let table = self.manifest.get("dependencies").and_then(Value::as_table);
        table.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn depends_on(&self, name: &str) -> bool {
        self.dependencies().any(|(dependency, _)| dependency == name)
    }

    /// The path of a file of it.
    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }
}

/// Reaches into a table by a dotted path.
pub(crate) trait At {
    fn at(&self, path: &str) -> Option<&Value>;
}

impl At for Table {
    fn at(&self, path: &str) -> Option<&Value> {
        match path.split_once('.') {
            None => self.get(path),
            Some((first, rest)) => self.get(first)?.as_table()?.at(rest),
        }
    }
}

/// The cargo that runs us, without what it tells us about our own package: that would reach the build scripts of
/// others.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os() {
        let is_about_us = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME"
        });
        if is_about_us {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn read_folder(root: &Path, folder: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let is_foreign = FOREIGN_FOLDERS.contains(&name.as_str());
            let is_hidden = name.starts_with('.') && !DOT_FOLDERS.contains(&name.as_str());
            if !is_foreign && !is_hidden {
                read_folder(root, &path, files)?;
            }
        } else if kind.is_file() && is_text(Path::new(&name)) {
            // What is no UTF-8 is no text.
            if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                files.insert(path, text);
            }
        }
    }
    Ok(())
}

fn is_text(name: &Path) -> bool {
    name.extension().is_none_or(|extension| TEXT.iter().any(|text| extension == *text))
}

/// The folders with a manifest that a member of the workspace stands for: itself, or with `/*` those in it.
fn folders(files: &BTreeMap<String, String>, member: &str) -> Vec<String> {
    let Some(parent) = member.strip_suffix("/*") else { return vec![member.to_owned()] };
    let folder_of = |path: &String| {
        let name = path.strip_prefix(parent)?.strip_prefix('/')?.strip_suffix("/Cargo.toml")?;
        (!name.contains('/')).then(|| format!("{parent}/{name}"))
    };
    files.keys().filter_map(folder_of).collect()
}

fn parse(files: &BTreeMap<String, String>, path: &str) -> Result<Table> {
    let text = files.get(path).ok_or_else(|| format!("there is no {path}"))?;
    Ok(text.parse::<Table>().map_err(|error| format!("{path} is not TOML: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn finds_members_by_name_and_by_star() {
        let files = files(&[
            ("Cargo.toml", "[workspace]\nmembers = ['crates/*', 'tool']"),
            ("crates/a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nserde.workspace = true"),
            ("crates/a/fixture/Cargo.toml", "[package]\nname = 'no-member'"),
            ("crates/b/Cargo.toml", "[package]\nname = 'b'\n[features]\ndefault = ['x']\nx = ['dep:a']"),
            ("tool/Cargo.toml", "[package]\nname = 'tool'"),
        ]);
        let workspace = Workspace::new(Path::new("/"), files).unwrap();
        let names: Vec<_> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "tool"]);
        assert!(workspace.package("a").unwrap().depends_on("serde"));
        let b = workspace.package("b").unwrap();
        assert_eq!(b.features(), ["x"]);
        assert_eq!(b.feature("x"), BTreeSet::from(["dep:a"]));
    }

    #[test]
    fn reads_our_text_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for path in
            ["Cargo.toml", "src/lib.rs", ".ci/run", ".git/HEAD", "target/debug/build.rs", "logo.png", "src/odd.rs"]
        {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            fs::write(root.path().join(path), "text").unwrap();
        }
        fs::write(root.path().join("src/odd.rs"), b"\xff").unwrap();
        let mut files = BTreeMap::new();
        read_folder(root.path(), "", &mut files).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), [".ci/run", "Cargo.toml", "src/lib.rs"]);
    }

    #[test]
    fn says_which_manifest_is_broken() {
        let files = files(&[("Cargo.toml", "[workspace]\nmembers = ['a']"), ("a/Cargo.toml", "[package")]);
        let error = Workspace::new(Path::new("/"), files).unwrap_err().to_string();
        assert!(error.starts_with("a/Cargo.toml is not TOML"), "{error}");
    }
}
