//! How figures are shown: a row for each thing measured, and what we hold ourselves to.

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this part of all are below.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted[at.min(sorted.len() - 1)]
}

/// The names of the columns.
pub fn head(unit: &str, names: &[&str]) {
    print!("{unit:28}");
    for name in names {
        print!("{name:>9}");
    }
    println!();
}

/// A row; what was not measured is left blank.
pub fn row(name: &str, values: &[Option<f64>]) {
    print!("{name:28}");
    for value in values {
        match value {
            Some(value) if *value < 100.0 => print!("{value:9.2}"),
            Some(value) => print!("{value:9.0}"),
            None => print!("{:>9}", "-"),
        }
    }
    println!();
}

/// A bound on a figure.
#[derive(Clone, Copy)]
pub enum Hold {
    AtLeast(f64),
    AtMost(f64),
}

/// Says whether it is kept.
pub fn hold(what: &str, value: f64, of: &str, hold: Hold) {
    let (kept, bound) = match hold {
        Hold::AtLeast(bound) => (value >= bound, format!("at least {bound}")),
        Hold::AtMost(bound) => (value <= bound, format!("at most {bound}")),
    };
    let verdict = if kept { "kept" } else { "MISSED" };
    println!("  {what:42} {value:8.2} {of:20} {bound:15} {verdict}");
}
