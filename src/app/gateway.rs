//! The gateway put together: definitions, mappings, ledger, engine, router, listener. Used by `serve` and by `demo`.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{config::Config, fetch::Http};
use crate::{
    api::{
        self,
        fhir::{Endpoint, Fhir},
    },
    cli::CouldNotRun,
    clock::SharedClock,
    definitions::{Definitions, PACKAGES, TerminologyServer},
    ledger::{self, Ledger},
    mapping::{Context, MappingError, Mappings},
    profile::Validator,
    sync::{Engine, Setup},
};

/// SIGTERM drains at most so long (PROMISES R14: in 10 s).
const DRAIN: Duration = Duration::from_secs(8);

/// A gateway at work. Dropping it stops nothing; call [`Running::stop`].
pub struct Running {
    /// `http://address`, without a trailing slash.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The ledger, for whoever judges (the demo's summary).
    pub ledger: Ledger,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    workers: JoinHandle<()>,
    mappings: Reload,
}

/// What takes new mappings into use.
struct Reload {
    engine: Engine,
    endpoint: Endpoint,
    fhir: Box<dyn Fn(Arc<Mappings>) -> Arc<Fhir> + Send + Sync>,
    config: Config,
}

/// Starts a gateway on the current runtime; when this returns, it answers.
///
/// # Errors
/// [`CouldNotRun`]: the port is taken, the ledger is in use or cannot be written, a mapping or package is wrong.
pub async fn start(config: Config, clock: SharedClock) -> Result<Running, CouldNotRun> {
    let wrong = |error| CouldNotRun::from_error(&error, "`liaison config check` tells all that is wrong");
    config.check_machine().map_err(wrong)?;
    let definitions = definitions(&config, &clock)?;
    let mappings = mappings(&config)?;
    config.check_named(&definitions, &mappings).map_err(wrong)?;
    let validator = Arc::new(Validator::new(definitions));
    // Bound before the ledger is opened: a taken port must not leave traces.
    let listener = listen(config.server.listen).await?;
    let address = listener.local_addr().map_err(|error| CouldNotRun::new(format!("no address: {error}"), ""))?;
    let ledger = Ledger::open(&config.ledger.path, ledger::Options::new(clock.clone()))
        .map_err(|error| CouldNotRun::from_error(&error, "see [ledger] path in the configuration"))?;
    let engine = Engine::new(Setup {
        instance: config.server.instance.clone(),
        systems: config.systems.clone(),
        ledger: ledger.clone(),
        mappings: mappings.clone(),
        validator: validator.clone(),
        clock: clock.clone(),
    })
    .map_err(|error| CouldNotRun::from_error(&error, "see [[systems]] in the configuration"))?;

    let unsent = engine.unsent_kinds();
    if !unsent.is_empty() {
        tracing::warn!(code = "LIA-SYNC-031", kinds = unsent.join(", "), "no system takes objects of these kinds");
    }

    let (stop, stopping) = watch::channel(false);
    let workers = tokio::spawn({
        let (engine, stopping) = (engine.clone(), stopping.clone());
        async move { engine.run(until(stopping)).await }
    });
    let max_body = config.server.max_body.0;
    let surface = api::Api::new(engine.clone(), ledger.clone(), max_body as u64, stopping.clone());
    let url = format!("http://{address}");
    let fhir = {
        let (url, ledger, instance) = (url.clone(), ledger.clone(), config.server.instance.clone());
        move |mappings: Arc<Mappings>| {
            let (base, context) = (format!("{url}/fhir"), Context::new(&instance));
            Arc::new(Fhir::new(&base, ledger.clone(), mappings, validator.clone(), context, clock.clone(), max_body))
        }
    };
    let endpoint = Endpoint::new(fhir(mappings));
    let router = api::router(surface, endpoint.clone().router());
    let server = tokio::spawn(api::listen::serve(listener, router, api::listen::PATIENCE, stopping));
    let mappings = Reload { engine, endpoint, fhir: Box::new(fhir), config };
    Ok(Running { url, address, ledger, stop, server, workers, mappings })
}

impl Running {
    /// Reads the mappings again, proves their laws, and only then takes them into use. What is under way ends with the
    /// mappings it began with; where anything is wrong, everything stays as it was.
    ///
    /// # Errors
    /// [`CouldNotRun`] with the first mistakes or the law that fails.
    pub async fn reload(&self) -> Result<(), CouldNotRun> {
        let config = self.mappings.config.clone();
        let read = tokio::task::spawn_blocking(move || mappings(&config)).await;
        let mappings = read.map_err(|error| CouldNotRun::new(format!("reading the mappings: {error}"), ""))??;
        let gone = self.mappings.engine.mappings().now();
        if let Some(lost) = gone.objects().find(|object| mappings.object(object.name()).is_none()) {
            let sentence = format!("the new mappings lack {}, which is in use", lost.name());
            return Err(CouldNotRun::new(sentence, "put its folder back, then reload"));
        }
        let fhir = (self.mappings.fhir)(mappings.clone());
        self.mappings.engine.mappings().replace(mappings);
        self.mappings.endpoint.replace(fhir);
        Ok(())
    }

    /// Takes no more requests, lets what is under way end, at most for some seconds; the rest is on disk.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let aborts = [self.server.abort_handle(), self.workers.abort_handle()];
        let drained = async {
            let _ = tokio::join!(self.server, self.workers);
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("still busy after {DRAIN:?}; stopping anyway, nothing that was accepted is lost");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

async fn until(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn listen(address: SocketAddr) -> Result<TcpListener, CouldNotRun> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = if error.kind() == std::io::ErrorKind::AddrInUse {
            "another program listens there: stop it, or set [server] listen to another port (0 takes a free one)"
        } else {
            "set [server] listen to an address of this machine, such as 127.0.0.1:8080"
        };
        CouldNotRun::new(format!("cannot listen on {address}: {error}"), remedy)
    })
}

pub(super) fn definitions(config: &Config, clock: &SharedClock) -> Result<Arc<Definitions>, CouldNotRun> {
    let dir = config.profiles.dir.as_deref().unwrap_or(Path::new(PACKAGES));
    let (definitions, warnings) = Definitions::load(dir, &config.profiles.packages)
        .map_err(|error| CouldNotRun::from_error(&error, "see [profiles] packages in the configuration"))?;
    for warning in warnings {
        tracing::warn!(%warning, "a package");
    }
    let Some(url) = &config.profiles.terminology_server else { return Ok(definitions) };
    let url = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
        CouldNotRun::new("[profiles] terminology_server is not an http(s) address", "give a FHIR R4 base URL")
    })?;
    let server = TerminologyServer::new(url, Arc::new(Http::TERMINOLOGY), Arc::clone(clock));
    Ok(definitions.with_server(Arc::new(server)))
}

/// The mappings as configured, with their laws proven (from the cache beside the ledger where nothing changed).
pub(super) fn mappings(config: &Config) -> Result<Arc<Mappings>, CouldNotRun> {
    let told = |error: MappingError| {
        CouldNotRun::from_error(&error, "`liaison mappings check --mappings DIR` shows every mistake with its line")
    };
    let Some(dir) = &config.mappings.dir else { return Mappings::embedded().map_err(told) };
    let cache = config.ledger.path.join("proofs");
    Mappings::lawful(dir, &|candidate| crate::laws::proven(candidate, Some(&cache))).map_err(told)
}
