//! `cardlab serve`: the card, or the PSAM, in the reader of a vpcd.

use crate::card::{Which, WhichPsam};
use crate::watch::{Known, Watch};
use crate::{Stop, subject};
use anyhow::Context as _;
use cardlab::icc::Icc;
use cardlab::link::t0::T0;
use cardlab::link::tap::Tap;
use cardlab::link::vpcd::{self, Vpcd};
use cardlab_conformance::verdict::Exit;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Put the card, or with --psam the PSAM, into the reader of a vpcd, until it is stopped.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    instead: WhichPsam,
    /// Where vpcd listens; its second slot has the next port
    #[arg(long, value_name = "HOST:PORT", default_value = vpcd::ADDRESS,
        value_parser = subject::address)]
    vpcd: String,
    /// Print the exchange to the standard error
    #[arg(short, long)]
    verbose: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let known = Known::of(&self.which)?;
        let mut watch = Watch::new(&known, self.verbose);
        let verbose = self.verbose;
        let inserted: Box<dyn Icc + '_> = match self.instead.psam(&self.which)? {
            Some(psam) => Box::new(Tap::new(psam, move |event| {
                if verbose {
                    let _ = writeln!(io::stderr(), "{event}");
                }
            })),
            None => Box::new(Tap::new(self.which.card()?, |event| watch.hear(&event))),
        };
        let mut card = T0::new(inserted);
        let mut link = Vpcd::connect(&self.vpcd).with_context(|| {
            let says = format!(
                "no vpcd listens at {} (start pcscd with the vpcd driver, \
                     or use `cardlab run -- PROGRAM`, which needs neither)",
                self.vpcd
            );
            Stop(Exit::NoCard, says)
        })?;
        link.await_slot(subject::SLOT_TIMEOUT)
            .map_err(|error| subject::no_slot(&self.vpcd, &error))?;
        writeln!(
            io::stdout(),
            "the card is in the reader of vpcd at {} 卡已插入",
            self.vpcd
        )?;
        let is_stopped = stop_by_signal(&link)?;
        let ended = link.serve(&mut card);
        if is_stopped.load(Ordering::SeqCst) {
            writeln!(io::stdout(), "stopped 已停止")?;
        } else {
            ended.map_err(|error| subject::no_slot(&self.vpcd, &error))?;
            writeln!(io::stdout(), "vpcd closed the link 连接已关闭")?;
        }
        drop(card);
        Ok(if watch.is_red() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Ends the link at SIGINT or SIGTERM, between two commands; whether that was.
fn stop_by_signal(link: &Vpcd) -> io::Result<Arc<AtomicBool>> {
    let stop = link.stop_handle()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let is_stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_stopped);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            told.store(true, Ordering::SeqCst);
            stop.stop();
        }
    });
    Ok(is_stopped)
}
