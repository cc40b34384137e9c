//! The table that is printed, in Markdown.

/// Rows in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 5]>);

impl Table {
    /// Adds a row: what was measured, ours, the reference, their relation, the floor.
    pub fn add(&mut self, work: &str, ours: String, reference: String, ratio: String, floor: &str) {
        eprintln!("  {work}: {ours}; reference {reference}; ratio {ratio}; floor {floor}");
        self.0.push([work.into(), ours, reference, ratio, floor.into()]);
    }

    /// Prints it to standard output.
    pub fn print(&self) {
        println!("| work | Janua | reference in the same run | ratio | at least |");
        println!("|---|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median with the lowest and highest round, to show how noisy they were.
pub fn spread(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{:.2} ({least:.2}–{most:.2})", median(figures.to_vec()))
}
