//! `janua config check`: the verdict on a configuration, for people or as JSON.

use serde_json::json;

use crate::cli::Settings;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::print;

/// Reads and checks everything that `janua serve` would read, and starts nothing.
pub fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let loaded = config::load_to_serve(settings.config.as_deref(), &settings.flags());
    match (loaded, json) {
        (Ok(config), false) => print(&verdict(&config, settings)),
        (Ok(config), true) => {
            let warnings = config::warnings(&config);
            let verdict =
                json!({ "valid": true, "problems": [], "warnings": warnings, "settings": config });
            print(&format!("{verdict}\n"))
        }
        (Err(problems), false) => Err(Failure::Configuration(problems)),
        (Err(problems), true) => {
            print(&format!("{}\n", json!({ "valid": false, "problems": problems })))?;
            Err(Failure::Reported)
        }
    }
}

fn verdict(config: &Config, settings: &Settings) -> String {
    let what = match &settings.config {
        Some(file) => file.display().to_string(),
        None => "the defaults".into(),
    };
    let mut text = format!("{what}: the configuration is good\n");
    for warning in config::warnings(config) {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}
