//! `autodev metrics`: all figures, as Prometheus reads them.

use super::{Context, Status};
use crate::client::unexpected;
use crate::protocol::{Fault, Reply, Request};

/// Arguments of `autodev metrics`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
The same is served over HTTP where the setting metrics.listen says: a loopback address or a
socket of this machine. The names are listed in 'man 7 autodev-metrics'.

Examples:
  autodev metrics
  autodev config set metrics.listen 127.0.0.1:9464
  For the textfile collector of node_exporter:
    autodev metrics > /var/lib/node_exporter/autodev.prom";

/// Runs the verb.
///
/// # Errors
/// What the daemon refuses.
pub fn run(ctx: &Context, _args: Args) -> Result<Status, Fault> {
    match ctx.client()?.call(&Request::Metrics)? {
        Reply::Text(text) if ctx.output.is_json() => ctx.output.json(&text)?,
        Reply::Text(text) => ctx.output.text(&text)?,
        other => return Err(unexpected(&other)),
    }
    Ok(Status::OK)
}
