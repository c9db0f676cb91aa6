//! An EHR to play with: FHIR's REST semantics in memory at `/fhir`, faults on request, and the true history of every
//! commit at `/_truth`. For the demo, for training, for tests. Asks nobody who they are, and so listens on loopback
//! only. Keeps what it holds where a folder is named, else nothing beyond the process; knows nothing of the gateway's
//! ledger or sync.

mod auth;
pub mod command;
pub mod faults;
mod http;
mod kept;
mod line;
mod memory;
mod view;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use faults::{FaultError, Faults, FaultsFile, Kind as FaultKind};
pub use kept::KeptError;
pub use memory::Memory;

use crate::{
    clock::{SharedClock, SystemClock},
    definitions::Definitions,
    profile::{Validator, check::Checked, search::Search},
    rest::{Bare, Check, Request, Response, SearchModel, Server, Version},
};

/// What a sandbox is made of.
#[derive(Clone)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: String,
    /// Faults to commit.
    pub faults: FaultsFile,
    /// A folder in which it keeps what it holds.
    pub data: Option<PathBuf>,
    /// Search parameters.
    pub model: Arc<dyn SearchModel>,
    /// Validation of writes; none writes whatever is a resource.
    pub check: Option<Arc<dyn Check>>,
    /// Times, ids and chance.
    pub clock: SharedClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            faults: FaultsFile::default(),
            data: None,
            model: Arc::new(Bare),
            check: None,
            clock: Arc::new(SystemClock),
        }
    }
}

impl Options {
    /// Searches by all parameters of FHIR R4 and validates what is written.
    #[must_use]
    pub fn practice() -> Self {
        let definitions = Definitions::core();
        let validator = Arc::new(Validator::new(definitions.clone()));
        let plain = Self::default();
        let check = Arc::new(Checked(validator, plain.clock.clone()));
        Self { model: Arc::new(Search::new(definitions)), check: Some(check), ..plain }
    }
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error(
        "cannot listen on {address}: {source}; choose another address and port with --listen, such as 127.0.0.1:8091"
    )]
    Listen {
        /// As asked.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The network would come in.
    #[error(
        "{address} is open to the network, and this EHR asks nobody who they are: it listens on loopback only; \
         write --listen 127.0.0.1:8090"
    )]
    Open {
        /// As asked.
        address: String,
    },
    /// The faults are contradictory.
    #[error(transparent)]
    Faults(#[from] FaultError),
    /// The folder cannot be used.
    #[error(transparent)]
    Data(#[from] KeptError),
}

/// What all requests share.
struct Ehr {
    pub server: Server,
    pub memory: Memory,
    pub faults: RwLock<Arc<Faults>>,
    pub tokens: Mutex<auth::Tokens>,
    pub clock: SharedClock,
    pub outage: line::Outage,
}

/// A running sandbox; stops when dropped.
pub struct Running {
    /// The FHIR base, `http://127.0.0.1:…/fhir`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    ehr: Arc<Ehr>,
    task: JoinHandle<()>,
}

/// Starts a sandbox on the current tokio runtime.
///
/// # Errors
/// [`StartError`] if the address cannot be listened on or the faults are wrong.
pub async fn spawn(options: Options) -> Result<Running, StartError> {
    let faults = Arc::new(Faults::new(&options.faults)?);
    let failed = |source| StartError::Listen { address: options.listen.clone(), source };
    let all: Vec<SocketAddr> = tokio::net::lookup_host(&options.listen).await.map_err(failed)?.collect();
    if !all.iter().all(|address| address.ip().is_loopback()) {
        return Err(StartError::Open { address: options.listen.clone() });
    }
    let listener = TcpListener::bind(all.as_slice()).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let url = format!("http://{address}/fhir");
    let mut server = Server::new(&url, "Liaison sandbox EHR", options.model, options.clock.clone());
    if let Some(check) = options.check {
        server = server.with_check(check);
    }
    let memory = match &options.data {
        Some(folder) => Memory::kept(options.clock.clone(), folder, |resource| server.keys(resource))?,
        None => Memory::new(options.clock.clone()),
    };
    let ehr = Arc::new(Ehr {
        server,
        memory,
        faults: RwLock::new(faults),
        tokens: Mutex::default(),
        clock: options.clock,
        outage: line::Outage::default(),
    });
    let task = tokio::spawn(http::serve(listener, ehr.clone()));
    Ok(Running { url, address, ehr, task })
}

impl Running {
    /// Every commit so far, oldest first: what really happened.
    #[must_use]
    pub fn truth(&self) -> Vec<Arc<Version>> {
        self.ehr.memory.log()
    }

    /// [`Self::truth`] in the shape of `/_truth`.
    #[must_use]
    pub fn truth_lines(&self) -> Vec<Value> {
        self.truth().iter().map(|version| http::truth_line(version)).collect()
    }

    /// Answers a request as the EHR's own staff would make it: no network, no faults, no token.
    #[must_use]
    pub fn request(&self, request: &Request) -> Response {
        self.ehr.server.handle(&self.ehr.memory, request)
    }

    /// Replaces the faults, counting from anew.
    ///
    /// # Errors
    /// [`FaultError`] if they are contradictory; the old ones stay.
    pub fn set_faults(&self, file: &FaultsFile) -> Result<(), FaultError> {
        let faults = Arc::new(Faults::new(file)?);
        *self.ehr.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
        Ok(())
    }

    /// Out of reach from now on, or back again: meanwhile every connection breaks, and nothing is committed.
    pub fn outage(&self, out: bool) {
        self.ehr.outage.set(out);
    }

    /// Each fault and how often it was committed since the faults were set, in the file's order.
    #[must_use]
    pub fn faults_by_kind(&self) -> Vec<(FaultKind, u64)> {
        self.ehr.faults.read().unwrap_or_else(PoisonError::into_inner).counts()
    }

    /// How often each fault was committed since the faults were set, in the file's order.
    #[must_use]
    pub fn committed_faults(&self) -> Vec<u64> {
        self.faults_by_kind().into_iter().map(|(_, count)| count).collect()
    }

    /// Runs until the process ends or the sandbox fails.
    pub async fn wait(mut self) {
        // An error here is a panic of the accept loop; there is nothing left to serve then.
        let _ended = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Connections that are open live on in tasks of their own.
        self.ehr.outage.set(true);
        self.task.abort();
    }
}
