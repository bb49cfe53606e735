//! `cardlab test`: the suite against a freshly issued card, or one in an image.

use crate::card::{self, Which};
use crate::cases;
use crate::subject::{self, Way};
use cardlab::icc::Icc as _;
use cardlab_conformance::case::Safety;
use cardlab_conformance::event::Event;
use cardlab_conformance::plan::KnownFailures;
use cardlab_conformance::report::console::{Console, Detail};
use cardlab_conformance::report::{Reporter, Wanted};
use cardlab_conformance::runner::{self, Options};
use cardlab_conformance::verdict::Exit;
use clap::{ArgAction, Args, ValueEnum};
use std::io;
use std::process::ExitCode;

/// Run the conformance suite against a freshly issued card, or one in an image.
#[derive(Args)]
pub(crate) struct Test {
    /// With --image each case has a copy of the card, and the image stays as it is.
    #[command(flatten)]
    which: Which,
    /// How the card is reached
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::InProcess)]
    subject: Way,
    /// Where vpcd listens, for the subject vpcd [default: localhost:35963]
    #[arg(long, value_name = "HOST:PORT", value_parser = subject::address)]
    vpcd: Option<String>,
    /// Only cases whose id fits; may be repeated, one must fit
    #[arg(long, value_name = "GLOB")]
    filter: Vec<String>,
    /// The worst that a case may do to a card; others are withheld
    #[arg(long, value_name = "WORST", value_enum, default_value_t = Worst::Irreversible)]
    safety: Worst,
    /// Write a report as well: json=PATH or junit=PATH; may be repeated
    #[arg(long, value_name = "KIND=PATH")]
    report: Vec<Wanted>,
    /// A line for each case; twice, its exchange too
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// What a case can do to a card.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Worst {
    /// Nothing 只读
    ReadOnly,
    /// Costs tries of the PIN 消耗密码次数
    ConsumesPinTry,
    /// Costs tries of a key 消耗密钥次数
    ConsumesKeyTry,
    /// Writes 写卡
    Writes,
    /// Cannot be undone; each case has a card of its own 不可逆
    Irreversible,
}

impl From<Worst> for Safety {
    fn from(worst: Worst) -> Safety {
        match worst {
            Worst::ReadOnly => Safety::ReadOnly,
            Worst::ConsumesPinTry => Safety::ConsumesPinTry,
            Worst::ConsumesKeyTry => Safety::ConsumesKeyTry,
            Worst::Writes => Safety::Writes,
            Worst::Irreversible => Safety::Irreversible,
        }
    }
}

impl Test {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.vpcd.is_some() && self.subject != Way::Vpcd {
            anyhow::bail!("--vpcd is for --subject vpcd");
        }
        let (profile, seed) = self.which.profile()?;
        let known = KnownFailures::shipped().map_err(anyhow::Error::msg)?;
        let cases = cases::fitting(&profile, "--filter", &self.filter)?;
        for wanted in &self.report {
            wanted.check_folder()?;
        }
        let (way, vpcd) = (self.subject, self.vpcd.as_deref());
        let subject = if self.which.is_kept() {
            let mut card = self.which.card()?.card().fork();
            let atr = card.power_on()?;
            card::must_be_of(&profile, &atr)?;
            card.power_off();
            subject::of(card, &profile, seed, way, vpcd)?
        } else {
            subject::issue(&profile, seed, way, vpcd)?
        };
        let detail = match self.verbose {
            0 => Detail::Failures,
            1 => Detail::Cases,
            _ => Detail::Exchanges,
        };
        let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(Console::new(
            detail,
            self.which.profile_name(),
            self.which.image(),
        ))];
        reporters.extend(self.report.iter().map(Wanted::reporter));
        let options = Options {
            seed,
            budget: self.safety.into(),
        };
        let mut broken = None;
        let mut tell = |event: &Event<'_>| {
            for reporter in &mut reporters {
                if let Err(error) = reporter.tell(event) {
                    broken.get_or_insert(error);
                }
            }
        };
        let (_, exit) = runner::run(&cases, &*subject, &profile, options, &known, &mut tell);
        // Who has seen enough of the lines still gets the verdict.
        let seen_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if let Some(error) = broken.filter(|error| !seen_enough(error)) {
            let names: Vec<_> = self
                .report
                .iter()
                .map(|wanted| wanted.path.display().to_string())
                .collect();
            let says = format!("cannot write the report ({})", names.join(", "));
            return Err(anyhow::Error::new(error).context(crate::Stop(Exit::ToolError, says)));
        }
        Ok(ExitCode::from(exit as u8))
    }
}
