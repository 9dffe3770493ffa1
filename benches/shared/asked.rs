//! Which measurements a command line asks for.

/// Name, what it measures, and how.
pub type Measurement = (&'static str, &'static str, fn());

/// Runs all measurements, or those that the command line names, after `prepare`; `list`
/// names them all.
pub fn run(measurements: &[Measurement], prepare: fn()) {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if asked.iter().any(|a| a == "list") {
        for (name, what, _) in measurements {
            println!("{name:12} {what}");
        }
        return;
    }
    prepare();
    for (name, what, run) in measurements {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            println!("\n## {name}: {what}");
            run();
        }
    }
}
