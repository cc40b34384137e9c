//! The layers of a configuration, merged: defaults, file, environment, flags. Knows which keys
//! exist and where each value came from; what a value means is read in `values`.
//!
//! Decision: the shipped `cluster.toml` *is* the layer of defaults, so that the documented defaults
//! and the real ones cannot differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::problem::{Problem, Source};
use super::values::Setting;

/// The file that documents every key.
pub const DEFAULTS: &str = include_str!("../../../cluster.toml");

/// The keys of `[oauth.NAME]`, which has no default because no name has.
const OAUTH_KEYS: [&str; 5] = ["client_id", "client_secret", "issuer", "base_url", "redirect_uris"];

#[derive(Debug)]
struct Entry {
    value: Value,
    source: Source,
}

/// Every key with the value that wins, and what was found wrong on the way.
#[derive(Debug)]
pub struct Layers {
    defaults: BTreeMap<String, Value>,
    entries: BTreeMap<String, Entry>,
    taken: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Layers {
    /// The defaults alone.
    pub fn new() -> Self {
        let table: Table = DEFAULTS.parse().expect("cluster.toml parses, as a test shows");
        let mut defaults = BTreeMap::new();
        for (key, value) in leaves("", table) {
            defaults.insert(key, value);
        }
        Self { defaults, entries: BTreeMap::new(), taken: BTreeSet::new(), problems: Vec::new() }
    }

    /// Lays a file over what is there.
    pub fn add_file(&mut self, path: &Path) {
        let source = Source::File(path.to_owned());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the file cannot be read: {error}");
                return self.problems.push(Problem::new("", &source, message));
            }
        };
        match text.parse::<Table>() {
            Ok(table) => {
                for (key, value) in leaves("", table) {
                    self.add(&key, value, source.clone());
                }
            }
            Err(error) => {
                // Only place and reason: the quoted line may hold a secret.
                let line =
                    error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                let message = format!("line {line} is not TOML: {}", error.message());
                self.problems.push(Problem::new("", &source, message));
            }
        }
    }

    /// Lays the `JANUA_SECTION__KEY` variables over what is there. Variables without `__` are other
    /// commands' and not settings.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix("JANUA_").filter(|path| path.contains("__")) else {
                continue;
            };
            let key = path.replace("__", ".").to_lowercase();
            self.add(&key, Value::String(value), Source::Variable(name));
        }
    }

    /// Lays one flag over what is there.
    pub fn add_flag(&mut self, flag: &str, key: &str, value: &str) {
        self.add(key, Value::String(value.into()), Source::Flag(flag.into()));
    }

    fn add(&mut self, key: &str, value: Value, source: Source) {
        let empty_section = matches!(&value, Value::Table(table) if table.is_empty());
        if empty_section && self.is_section(key) {
            return;
        }
        if self.is_known(key) {
            self.entries.insert(key.into(), Entry { value, source });
        } else {
            let message = format!("there is no such key; {}", self.neighbours(key));
            self.problems.push(Problem::new(key, &source, message));
        }
    }

    fn is_known(&self, key: &str) -> bool {
        match key.strip_prefix("oauth.").and_then(|rest| rest.split_once('.')) {
            Some((name, key)) => !name.is_empty() && OAUTH_KEYS.contains(&key),
            None => self.defaults.contains_key(key),
        }
    }

    fn is_section(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        name.starts_with("oauth") || self.defaults.keys().any(|key| key.starts_with(&prefix))
    }

    /// What could have been meant: the keys of the section, or the sections.
    fn neighbours(&self, key: &str) -> String {
        let section = key.split('.').next().unwrap_or_default();
        if section == "oauth" {
            return format!("[oauth.NAME] has {}", OAUTH_KEYS.join(", "));
        }
        let prefix = format!("{section}.");
        let keys: Vec<_> =
            self.defaults.keys().filter_map(|key| key.strip_prefix(&prefix)).collect();
        if !keys.is_empty() {
            return format!("[{section}] has {}", keys.join(", "));
        }
        let sections = self.defaults.keys().filter_map(|key| Some(key.split_once('.')?.0));
        let sections: BTreeSet<_> = sections.chain(["oauth.NAME"]).collect();
        format!("the sections are {}", sections.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The value of `key`. One that is not allowed is remembered as a problem, and the default
    /// stands in for it so that the other keys are checked as well.
    pub fn take<T: Setting>(&mut self, key: &str) -> T {
        self.taken.insert(key.into());
        if let Some(entry) = self.entries.get(key) {
            match T::read(&entry.value) {
                Some(value) => return value,
                None => {
                    let message = refusal::<T>(&entry.value);
                    self.problems.push(Problem::new(key, &entry.source, message));
                }
            }
        }
        let default = self.defaults.get(key).cloned().unwrap_or(Value::String(String::new()));
        T::read(&default)
            .unwrap_or_else(|| panic!("the default of {key} is allowed, as a test shows"))
    }

    /// Remembers a problem with the value of `key` unless `good`.
    pub fn require(&mut self, good: bool, key: &str, message: impl Into<String>) {
        if !good {
            self.problems.push(Problem::new(key, self.source_of(key), message));
        }
    }

    /// Where `key` was set; where it was not, where its neighbours were.
    fn source_of(&self, key: &str) -> &Source {
        let section = &key[..=key.rfind('.').unwrap_or(0)];
        let neighbours = self.entries.iter().filter(|(other, _)| other.starts_with(section));
        let entry = self.entries.get(key).or_else(|| neighbours.map(|(_, entry)| entry).next());
        entry.map_or(&Source::Default, |entry| &entry.source)
    }

    /// The names for which there is an `[oauth.NAME]`.
    pub fn oauth_names(&self) -> BTreeSet<String> {
        let named = self.entries.keys().filter_map(|key| key.strip_prefix("oauth."));
        named.filter_map(|rest| Some(rest.split_once('.')?.0.to_owned())).collect()
    }

    /// What was found wrong, in the order of the layers.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The documented keys that nothing has read.
    #[cfg(test)]
    pub fn untaken(&self) -> Vec<&String> {
        self.defaults.keys().filter(|key| !self.taken.contains(*key)).collect()
    }
}

fn refusal<T: Setting>(value: &Value) -> String {
    let allowed = T::allowed();
    if T::SECRET {
        return format!("must be {allowed}");
    }
    format!("{value} is not allowed: it must be {allowed}")
}

/// The values of a table with their dotted keys.
fn leaves(prefix: &str, table: Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) if !table.is_empty() => found.extend(leaves(&key, table)),
            value => found.push((key, value)),
        }
    }
    found
}
