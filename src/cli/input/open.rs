//! Opens what is read, without waiting for ever: a pipe that nobody writes to is told after a while.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::{CouldNotRun, unreadable};

/// How long nobody may write to a named pipe.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// Opens a file or a pipe.
///
/// # Errors
/// [`CouldNotRun`] where that cannot be done, or nobody writes to the pipe.
pub(super) fn file(path: &Path, name: &str) -> Result<Box<dyn Read>, CouldNotRun> {
    let failed = |error: io::Error| unreadable(name, &error);
    // What is no pipe does not mind; a pipe without a writer would hold us here.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if !kind.is_fifo() {
        return Ok(Box::new(file));
    }
    first_byte(file).map_err(failed)?.ok_or_else(|| {
        let sentence = format!("{name}: this is a named pipe, and nobody writes to it");
        CouldNotRun::new(sentence, "start what writes to it first, or name a file")
    })
}

/// Waits until somebody writes; none if nobody does. From then on reading waits as usual.
fn first_byte(mut file: File) -> io::Result<Option<Box<dyn Read>>> {
    let mut byte = [0];
    let mut waited = Duration::ZERO;
    let head = loop {
        match file.read(&mut byte) {
            Ok(0) if waited >= PATIENCE => return Ok(None),
            Ok(0) => {}
            Ok(_) => break vec![byte[0]],
            // There is a writer that has not written yet.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Vec::new(),
            Err(error) => return Err(error),
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    };
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(Some(Box::new(io::Cursor::new(head).chain(file))))
}

/// Somebody who forgot the file sits before a silent terminal.
pub(super) fn remark_on_terminal() {
    if io::stdin().is_terminal() {
        eprintln!("liaison: reading from the terminal; paste JSON, then end with Ctrl-D");
    }
}
