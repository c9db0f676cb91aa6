//! `liaison serve`: configuration, logs on stderr, the gateway, and an orderly end on SIGTERM or Ctrl-C.

use std::{io::Write, path::Path, sync::Arc};

use super::{config::Config, gateway, runtime};
use crate::{
    cli::{CouldNotRun, Exit, Run, serve::Args},
    clock::SystemClock,
    error::without_secrets,
};

/// Runs the command.
///
/// # Errors
/// [`CouldNotRun`], as [`gateway::start`].
pub fn run(args: &Args) -> Run {
    let config = configuration(args.config.as_deref())?;
    logs();
    runtime()?.block_on(async {
        let running = gateway::start(config, Arc::new(SystemClock)).await?;
        let mut out = std::io::stdout();
        writeln!(out, "listening {}", running.url)
            .and_then(|()| out.flush())
            .map_err(|error| CouldNotRun::new(format!("cannot write to stdout: {error}"), ""))?;
        until_stopped(&running).await;
        tracing::info!("stopping");
        running.stop().await;
        Ok(Exit::Good)
    })
}

fn configuration(path: Option<&Path>) -> Result<Config, CouldNotRun> {
    let default = Path::new("liaison.toml");
    let config = match path {
        Some(path) => Config::read(path),
        None if default.exists() => Config::read(default),
        None => Ok(Config::default()),
    };
    config.map_err(|error| CouldNotRun::from_error(&error, "examples/liaison.toml documents every key"))
}

/// Logs go to stderr, one JSON line an event; never a patient's data.
fn logs() {
    let subscriber =
        tracing_subscriber::fmt().json().with_writer(|| Redacted).with_max_level(tracing::Level::INFO).finish();
    // Fails only where a subscriber is set already, as in tests.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, where no address keeps its user name and password.
struct Redacted;

impl Write for Redacted {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        std::io::stderr().write_all(without_secrets(&text).as_bytes())?;
        Ok(line.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Serves until SIGTERM or Ctrl-C; SIGHUP reads the mappings again.
async fn until_stopped(running: &gateway::Running) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return stop_signal().await };
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = hangup.recv() => match running.reload().await {
                Ok(()) => tracing::info!("the mappings were read again and are in use"),
                Err(why) => tracing::error!(%why, "the mappings stay as they were"),
            },
        }
    }
}

/// Completes on SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
