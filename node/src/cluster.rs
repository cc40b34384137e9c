//! `janua cluster …`: what an operator sees and decides of a running cluster.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::offline::block_on;
use crate::output::print;
use crate::recover::{self, Recover};
use crate::remote::Remote;

/// `janua cluster …`
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the nodes, and who leads and holds which shard
    Status {
        /// Which node to ask.
        #[command(flatten)]
        remote: Remote,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Move everything away from a node, which then leaves
    Remove {
        /// Its number or its name
        node: String,
        /// Which node to ask.
        #[command(flatten)]
        remote: Remote,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Have every shard led where it belongs, without waiting for calm
    Rebalance {
        /// Which node to ask.
        #[command(flatten)]
        remote: Remote,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Have each shard held by so many nodes: 1, 3 or 5; fewer nodes hold as many as they are
    Replicas {
        /// How many
        #[arg(value_parser = ["1", "3", "5"])]
        replicas: String,
        /// Which node to ask.
        #[command(flatten)]
        remote: Remote,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new cluster of this node alone, when a quorum is lost for good; the node must be
    /// stopped
    Recover(Recover),
}

/// Runs one of the commands.
pub fn run(command: &ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Status { remote, json } => {
            let status = ask(remote, Method::GET, "/admin/cluster")?;
            print(&if *json { format!("{status}\n") } else { table(&status) })
        }
        ClusterCommand::Remove { node, remote, json } => {
            let id = number(remote, node)?;
            let answer = ask(remote, Method::DELETE, &format!("/admin/cluster/nodes/{id}"))?;
            say(&answer, *json)
        }
        ClusterCommand::Rebalance { remote, json } => {
            say(&ask(remote, Method::POST, "/admin/cluster/rebalance")?, *json)
        }
        ClusterCommand::Replicas { replicas, remote, json } => {
            let change = json!({ "replicas": replicas.parse::<u8>().unwrap_or_default() });
            let status = send(remote, Method::PATCH, "/admin/cluster", Some(&change))?;
            let text = || format!("each shard is brought to {} replicas\n", status["replicas"]);
            print(&if *json { format!("{status}\n") } else { text() })
        }
        ClusterCommand::Recover(command) => recover::run(command),
    }
}

/// Asks a node, and gives back what the envelope holds.
fn ask(remote: &Remote, method: Method, path: &str) -> Result<Value, Failure> {
    send(remote, method, path, None)
}

/// The same, sending a body.
fn send(
    remote: &Remote,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let node = remote.node()?;
    block_on(async {
        let request = node.request(method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = node.send(request).await?.json::<Value>().await;
        let answer = answer.map_err(|error| node.broken(&error))?;
        Ok(answer.get("data").unwrap_or(&answer).clone())
    })
}

fn say(answer: &Value, json: bool) -> Result<(), Failure> {
    let message = answer["message"].as_str().unwrap_or("done");
    print(&if json { format!("{answer}\n") } else { format!("{message}\n") })
}

/// The number of a node that is named by it, or by its name.
fn number(remote: &Remote, node: &str) -> Result<u64, Failure> {
    if let Ok(number) = node.parse() {
        return Ok(number);
    }
    let status = ask(remote, Method::GET, "/admin/cluster")?;
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let named = nodes.filter(|known| known["name"] == node).find_map(|known| known["id"].as_u64());
    named.ok_or_else(|| Failure::Start(format!("the cluster has no node {node}")))
}

/// The cluster, for people.
fn table(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        value => value.to_string(),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let head = format!(
        "cluster {}, version {}, {} replicas\n",
        text(&status["clusterId"]),
        text(&status["agreedVersion"]),
        text(&status["replicas"])
    );
    let titles = |titles: &[&str]| titles.iter().map(|title| (*title).to_owned()).collect();
    let mut nodes: Vec<Vec<String>> =
        vec![titles(&["node", "name", "state", "version", "http", "cluster", "leads"])];
    for node in list(&status["nodes"]) {
        let leads: Vec<_> = list(&node["leads"]).iter().map(text).collect();
        let version = &node["version"]["data"];
        let shown = ["id", "name", "state"].map(|field| text(&node[field])).into_iter();
        let reached = ["httpAddress", "clusterAddress"].map(|field| text(&node[field]));
        nodes.push(shown.chain([text(version)]).chain(reached).chain([leads.join(" ")]).collect());
    }
    let mut shards: Vec<Vec<String>> =
        vec![titles(&["shard", "leader", "term", "tenants", "replicas (entries behind)"])];
    for shard in list(&status["shards"]) {
        let replicas: Vec<_> = list(&shard["replicas"])
            .iter()
            .map(|replica| {
                let learner = if replica["role"] == "learner" { " learner" } else { "" };
                format!("{}{learner} ({})", text(&replica["node"]), text(&replica["lagEntries"]))
            })
            .collect();
        let shown = ["id", "leader", "term", "tenants"].map(|field| text(&shard[field]));
        shards.push(shown.into_iter().chain([replicas.join(", ")]).collect());
    }
    format!("{head}\n{}\n{}", aligned(&nodes), aligned(&shards))
}

/// Rows below each other, each column as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_who_leads_and_who_follows() {
        let status = json!({
            "clusterId": "c0ffee", "agreedVersion": 2, "replicas": 3,
            "nodes": [{ "id": 1, "name": "node-1", "state": "member", "httpAddress": "h",
                "clusterAddress": "c", "version": { "protocol": 1, "data": 4 }, "leads": [0] }],
            "shards": [{ "id": 0, "leader": 1, "term": 3, "tenants": 2, "replicas": [
                { "node": 1, "role": "leader", "lagEntries": 0 },
                { "node": 2, "role": "learner", "lagEntries": 7 }] }],
        });
        let table = table(&status);
        assert!(table.contains("cluster c0ffee, version 2, 3 replicas"), "{table}");
        assert!(table.contains("member  4 "), "{table}");
        assert!(table.contains("1 (0), 2 learner (7)"), "{table}");
    }

    #[test]
    fn a_long_name_runs_into_nothing() {
        let (name, address) = ("identity-node-01", "node-01.identity.example.com:3000");
        let status = json!({ "nodes": [
            { "id": 1, "name": name, "state": "member", "httpAddress": address,
                "clusterAddress": address, "version": { "data": 2 }, "leads": [0, 3] },
            { "id": 2, "name": "b", "state": "draining", "httpAddress": "h",
                "clusterAddress": "c", "version": { "data": 2 }, "leads": [] }] });
        let table = table(&status);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = table.lines().find(|line| line.contains(name)).expect("its line");
        assert_eq!(words(line), ["1", name, "member", "2", address, address, "0", "3"], "{table}");
        let other = table.lines().find(|line| line.contains("draining")).expect("its line");
        assert_eq!(line.find("member"), other.find("draining"), "{table}");
    }
}
