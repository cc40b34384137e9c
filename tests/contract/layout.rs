//! The house stays as it is laid out: the same nouns on every floor, files that can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use janua_tests::program::workspace;

const LONGEST_FILE: usize = 400;

const FLOORS: [&str; 5] = ["node", "actors", "storage", "http", "tests"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut found = Vec::new();
    for entry in entries.unwrap_or_default() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    FLOORS.iter().flat_map(|floor| sources(&workspace().join(floor))).collect()
}

/// The nouns of a folder: its files and folders, but for what holds them together.
fn nouns(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(workspace().join(folder)).map(|entries| entries.flatten().collect());
    let entries: Vec<_> = entries.unwrap_or_else(|_| panic!("{folder} is missing"));
    let stems =
        entries.iter().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()));
    stems
        .filter(|stem| !["mod", "main", "service", "examples", "tls"].contains(&stem.as_str()))
        .collect()
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<_> = all_sources()
        .into_iter()
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:?}");
}

#[test]
fn a_capability_has_the_same_name_on_every_floor() {
    let behaviour = nouns("tests/api");
    for floor in ["http/src/api", "actors/src/capability"] {
        let untested: Vec<_> = nouns(floor).difference(&behaviour).cloned().collect();
        assert!(untested.is_empty(), "{floor} has no tests/api for {untested:?}");
    }
    let recorded = nouns("storage/src/capability");
    let decided: Vec<_> = nouns("actors/src/capability").difference(&recorded).cloned().collect();
    assert!(decided.is_empty(), "actors decide on {decided:?}, which storage does not record");
}

#[test]
fn every_file_says_what_lives_in_it() {
    let silent: Vec<_> = all_sources()
        .into_iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "files without an opening: {silent:?}");
}

#[test]
fn no_file_is_dead() {
    let dead: Vec<_> = all_sources().into_iter().filter(|path| !is_declared(path)).collect();
    assert!(dead.is_empty(), "no module declares {dead:?}");
}

fn is_declared(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().expect("a folder");
    let is_root = matches!(stem, "main" | "lib")
        || folder.ends_with("node/tests")
        || folder.ends_with("src/bin");
    let in_crate_tests = folder.file_name().is_some_and(|name| name == "tests")
        && folder.join("../Cargo.toml").exists();
    if is_root || in_crate_tests {
        return true;
    }
    let (name, parents) = if stem == "mod" {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        (name, folder.parent().expect("a folder"))
    } else {
        (stem, folder)
    };
    let beside = parents
        .file_name()
        .and_then(|name| name.to_str())
        .map(|name| parents.with_file_name(format!("{name}.rs")));
    let candidates = ["mod.rs", "lib.rs", "main.rs"].map(|file| parents.join(file));
    let declaring =
        candidates.into_iter().chain(beside).filter_map(|file| fs::read_to_string(file).ok());
    let declaration = format!("mod {name};");
    declaring
        .into_iter()
        .any(|text| text.lines().any(|line| line.trim_end().ends_with(&declaration)))
}

#[test]
fn only_the_four_standing_advisories_are_ignored() {
    let text = fs::read_to_string(workspace().join("deny.toml")).unwrap();
    let ignored = text.lines().filter(|line| line.contains("RUSTSEC-")).count();
    assert_eq!(ignored, 4);
}
