//! The results, for people and for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::measure::{Measured, Result, Target};

pub fn show(all: &[Measured]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "unit", "raw SQLite", "Unisono", "ratio", "rounds", "target", ""]);
    for measured in all {
        let number = |number: Option<f64>| number.map_or(String::new(), |number| shown(number, measured.unit));
        table.add_row([
            measured.name.clone(),
            measured.unit.to_owned(),
            number(measured.baseline_median()),
            number(measured.median()),
            measured.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}")),
            spread(measured),
            target(measured),
            measured.is_met().map_or(String::new(), |met| if met { "met" } else { "MISSED" }.to_owned()),
        ]);
    }
    for column in [2, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    println!("Medians. Both columns are from this run, on this machine; rounds show the least and the most.");
}

fn shown(number: f64, unit: &str) -> String {
    match unit {
        "s" => format!("{number:.3}"),
        "MiB" => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

fn spread(measured: &Measured) -> String {
    let least = measured.samples.iter().copied().reduce(f64::min);
    let most = measured.samples.iter().copied().reduce(f64::max);
    match (least, most) {
        (Some(least), Some(most)) => {
            let shown = |number| shown(number, measured.unit);
            format!("{} ({} … {})", measured.samples.len(), shown(least), shown(most))
        }
        _ => String::new(),
    }
}

fn target(measured: &Measured) -> String {
    match measured.target {
        Target::AtLeast(least) => format!("≥ {}", shown(least, measured.unit)),
        Target::AtMost(most) => format!("≤ {}", shown(most, measured.unit)),
        Target::RatioAtLeast(least) => format!("≥ {least:.2} × raw"),
        Target::None => String::new(),
    }
}

pub fn json(all: &[Measured]) -> Result<()> {
    let scenarios: Vec<_> = all
        .iter()
        .map(|measured| {
            json!({
                "name": measured.name,
                "unit": measured.unit,
                "median": measured.median(),
                "samples": measured.samples,
                "raw_sqlite": {"median": measured.baseline_median(), "samples": measured.baseline},
                "ratio": measured.ratio(),
                "target": measured.target,
                "met": measured.is_met(),
            })
        })
        .collect();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{}", serde_json::to_string_pretty(&json!({"cpus": cpus, "scenarios": scenarios}))?);
    Ok(())
}
