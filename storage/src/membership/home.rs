//! Who a data folder belongs to: the file `node` in it. A folder without one is empty, or that of a
//! founder that has not founded yet, or from before there were clusters.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::files::{RealDisk, read_all, write_durably};
use crate::version::OLDEST;

const FILE: &str = "node";

/// A node's place in its cluster, as its folder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Raft's id of the node.
    pub node: u64,
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// Raft groups of the cluster.
    pub shards: u16,
    /// Counts the node's starts.
    pub incarnation: u64,
    /// The version that the cluster has agreed on, as far as the node knows.
    pub agreed: u16,
    /// Whether the node has founded the cluster in this folder.
    pub founded: bool,
    /// Where this node is reached, in its present or last run.
    pub address: Option<String>,
    /// Where the other nodes were last known to be reached.
    pub peers: BTreeMap<u64, String>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {problem}", path = path.display())]
pub struct HomeError {
    path: PathBuf,
    problem: String,
}

impl Home {
    /// What the folder says, if it says anything.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, HomeError> {
        let path = data_dir.join(FILE);
        let failed = |problem: String| HomeError { path: path.clone(), problem };
        match read_all(&RealDisk, &path).map_err(|error| failed(error.to_string()))? {
            Some(bytes) => {
                let home = Self::parse(&String::from_utf8_lossy(&bytes));
                home.map(Some).ok_or_else(|| failed("it is damaged".into()))
            }
            None => Ok(None),
        }
    }

    /// Puts it down durably.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        write_durably(&RealDisk, &data_dir.join(FILE), self.text().as_bytes())
    }

    fn text(&self) -> String {
        let cluster = hex(&self.cluster);
        let Self { node, shards, incarnation, agreed, .. } = self;
        let mut text = format!(
            "node {node}\ncluster {cluster}\nshards {shards}\nincarnation {incarnation}\nagreed {agreed}\n"
        );
        if self.founded {
            text.push_str("founded here\n");
        }
        if let Some(address) = &self.address {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "address {address}");
        }
        for (id, address) in &self.peers {
            let _ = writeln!(text, "peer {id} {address}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let line =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let peers = text.lines().filter_map(|line| {
            let (id, address) = line.strip_prefix("peer ")?.split_once(' ')?;
            Some((id.parse().ok()?, address.to_owned()))
        });
        Some(Self {
            node: line("node")?.parse().ok()?,
            cluster: unhex(line("cluster")?)?,
            shards: line("shards")?.parse().ok()?,
            incarnation: line("incarnation")?.parse().ok()?,
            // Folders of the first version do not say so.
            agreed: line("agreed").map_or(Some(OLDEST), |agreed| agreed.parse().ok())?,
            founded: line("founded") == Some("here"),
            address: line("address").map(str::to_owned),
            peers: peers.collect(),
        })
    }
}

/// Bytes as people read them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_remembers_whose_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Home::read(folder.path()).expect("an empty folder"), None);
        let home = Home {
            node: 3,
            cluster: [7; 16],
            shards: 16,
            incarnation: 2,
            agreed: 2,
            founded: true,
            address: Some("127.0.0.1:7002".into()),
            peers: [(1, "127.0.0.1:7000".into()), (2, "node-2.internal:7000".into())].into(),
        };
        home.write(folder.path()).expect("a written file");
        assert_eq!(Home::read(folder.path()).expect("a read file"), Some(home));
    }
}
