//! `janua tenant create` and `janua key create`: what an operator does first, against a running node.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::offline::block_on;
use crate::output::print;
use crate::remote::Remote;

/// `janua tenant …`
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant, and print its first keys, which are shown this once
    Create(CreateTenant),
}

/// `janua tenant create`
#[derive(Debug, Args)]
pub struct CreateTenant {
    /// The tenant's name in addresses: lower-case letters, digits and dashes
    slug: String,
    /// What people call it [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// Which node to ask.
    #[command(flatten)]
    remote: Remote,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `janua key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make an API key of a tenant, and print it, which happens this once
    Create(CreateKey),
}

/// `janua key create`
#[derive(Debug, Args)]
pub struct CreateKey {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// What the key may do: publishable ones are safe in a browser
    #[arg(long = "type", value_name = "TYPE")]
    kind: KeyType,
    /// A permission of a secret key, such as users:read or *; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// What people call it
    #[arg(long, default_value = "made by the operator")]
    name: String,
    /// Which node to ask.
    #[command(flatten)]
    remote: Remote,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyType {
    Publishable,
    Secret,
}

/// `janua tenant …`
pub fn run(command: &TenantCommand) -> Result<(), Failure> {
    let TenantCommand::Create(command) = command;
    let node = command.remote.node()?;
    let body = match &command.name {
        Some(name) => json!({ "slug": command.slug, "name": name }),
        None => json!({ "slug": command.slug }),
    };
    let request = node.request(Method::POST, "/admin/tenants").json(&body);
    let made = block_on(node.data(request))?;
    print(&match command.json {
        true => format!("{made}\n"),
        false => format!(
            "A new tenant. Its keys are shown this once; keep them:\n\
             \n\
             \x20 id               {}\n\
             \x20 publishable key  {}\n\
             \x20 secret key       {}\n\n",
            text(&made, "id"),
            text(&made, "publishableKey"),
            text(&made, "secretKey")
        ),
    })
}

/// `janua key …`
pub fn run_key(command: &KeyCommand) -> Result<(), Failure> {
    let KeyCommand::Create(command) = command;
    let node = command.remote.node()?;
    let kind = match command.kind {
        KeyType::Publishable => "publishable",
        KeyType::Secret => "secret",
    };
    let body = json!({ "name": command.name, "type": kind, "scopes": command.scopes });
    let request = node.request(Method::POST, "/api-keys").header("X-Tenant-ID", &command.tenant);
    let made = block_on(node.data(request.json(&body)))?;
    print(&match command.json {
        true => format!("{made}\n"),
        false => format!(
            "A new key of the tenant {}. It is shown this once; keep it:\n\n  {}\n\n",
            command.tenant,
            text(&made, "key")
        ),
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
