//! One program with cards in its readers.

use super::{ENVIRONMENT, Endpoint};
use crate::icc::Icc;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitStatus};
use std::thread;

/// Runs a program to which the card is the one in the only reader.
///
/// The socket lies in a directory of its own that only this user may enter, and both
/// are gone afterwards. While the program runs, SIGTERM and SIGHUP are passed on to
/// it; SIGINT and SIGQUIT, which a terminal sends to both, leave the end to it.
///
/// # Errors
/// What the program's start, the directory or the socket says.
pub fn run<A: AsRef<OsStr>>(
    mut card: &mut (impl Icc + Send + ?Sized),
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> io::Result<ExitStatus> {
    run_all(&mut [&mut card], program, arguments)
}

/// As [`run`] with several cards, each in a reader of its own, in this order.
///
/// # Errors
/// As [`run`] and [`Endpoint::serve_all`].
pub fn run_all<A: AsRef<OsStr>>(
    cards: &mut [&mut (dyn Icc + Send)],
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> io::Result<ExitStatus> {
    let directory = tempfile::Builder::new()
        .prefix("cardlab-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let endpoint = Endpoint::bind(directory.path().join("pcscd.comm"))?;
    let stop = endpoint.stop_handle();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let signals_end = signals.handle();
    thread::scope(|scope| {
        let serving = scope.spawn(|| endpoint.serve_all(cards));
        let ended = Command::new(program)
            .args(arguments)
            .env(ENVIRONMENT, endpoint.path())
            .spawn()
            .and_then(|mut child| {
                let pid = Pid::from_child(&child);
                scope.spawn(move || {
                    for signal in signals.forever() {
                        let passed_on = match signal {
                            SIGHUP => Signal::HUP,
                            SIGTERM => Signal::TERM,
                            _ => continue,
                        };
                        // A program that has just ended needs no signal.
                        let _ = kill_process(pid, passed_on);
                    }
                });
                child.wait()
            });
        signals_end.close();
        stop.stop();
        let served = serving
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the card's thread has panicked")));
        ended.and_then(|status| served.map(|()| status))
    })
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::link::testing::Script;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;

    fn sh(script: &str) -> std::process::ExitStatus {
        run(&mut Script::new(&[]), "/bin/sh", ["-c", script]).unwrap()
    }

    #[test]
    fn the_exit_code_and_the_signal_are_those_of_the_program() {
        assert_eq!(sh("exit 0").code(), Some(0));
        assert_eq!(sh("exit 37").code(), Some(37));
        assert_eq!(sh("kill -TERM $$").signal(), Some(15));
    }

    #[test]
    fn the_socket_is_private_and_gone_afterwards() {
        let note = tempfile::NamedTempFile::new().unwrap();
        let path = note.path().display();
        let status = sh(&format!(
            "test -S $PCSCLITE_CSOCK_NAME || exit 1
             test $(stat -c %a $(dirname $PCSCLITE_CSOCK_NAME)) = 700 || exit 2
             echo $PCSCLITE_CSOCK_NAME > {path}"
        ));
        assert_eq!(status.code(), Some(0));
        let socket = std::fs::read_to_string(note.path()).unwrap();
        let socket = Path::new(socket.trim());
        assert!(!socket.exists() && !socket.parent().unwrap().exists());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let none: [&str; 0] = [];
        let error = run(&mut Script::new(&[]), "/does/not/exist", none).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }
}
