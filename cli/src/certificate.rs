//! `cardlab certificate`: the certificate application as a host program uses it.

use crate::Stop;
use crate::card::Which;
use crate::kept::Kept;
use anyhow::{Context as _, bail};
use cardlab::apdu::Sw;
use cardlab::crypto::Random;
use cardlab::icc::Icc;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::pki::{self, Application, Authority, Envelope, Pair, PkiError, Token, Who};
use clap::{Args, Subcommand, ValueEnum};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The profile that is used where none is named: one with the application.
const PROFILE: &str = "henan-3.0";

/// The exit codes of what gives a file.
const DONE: &str = "\
Exit codes: 0 the file is written, 1 the card refuses: the PIN is wrong or blocked, the envelope is
not for it; 2 the call, a file or a profile is wrong.";

/// Look at the card's certificates, sign, verify, seal and open.
#[derive(Subcommand)]
pub(crate) enum Certificate {
    /// Print the certificates and whether they are right 显示并检查证书
    #[command(after_help = "\
Exit codes: 0 all is right, 1 something is not, 2 the call, a file or a profile is wrong.")]
    Show(Show),
    /// Sign a file with the card's signature key 用卡签名
    #[command(after_help = DONE)]
    Sign(Sign),
    /// Verify a signature with a certificate 验签
    #[command(after_help = "\
Exit codes: 0 the signature is one of the file, 1 it is not, 2 the call, a file or a profile is
wrong.")]
    Verify(Verify),
    /// Seal a file for the card's holder 生成数字信封
    #[command(after_help = DONE)]
    Seal(Seal),
    /// Open a sealed file with the card's encryption key 用卡打开数字信封
    #[command(after_help = DONE)]
    Open(Open),
}

/// Which certificate.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// That of the signature key.
    Signature,
    /// That of the encryption key.
    Encryption,
    /// The test authority's own.
    Authority,
}

/// Print the certificates, or check them.
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    card: Held,
    /// Print this certificate alone, as PEM for other programs
    #[arg(long, value_name = "WHICH")]
    pem: Option<Kind>,
    /// The day to check on
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-01-02", value_parser = day)]
    on: [u16; 3],
}

/// Sign a file.
#[derive(Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    card: Held,
    /// The file to be signed
    file: PathBuf,
    /// Where the signature goes, as DER
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Verify a signature.
#[derive(Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    card: Held,
    /// The file that was signed
    file: PathBuf,
    /// Its signature, as DER
    signature: PathBuf,
}

/// Seal a file.
#[derive(Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    card: Held,
    /// The file to be sealed
    file: PathBuf,
    /// Where the envelope goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Open a sealed file.
#[derive(Args)]
pub(crate) struct Open {
    #[command(flatten)]
    card: Held,
    /// The envelope
    file: PathBuf,
    /// Where the message goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// The card and its PIN.
#[derive(Args)]
struct Held {
    #[command(flatten)]
    which: Which,
    /// The user's PIN of the certificate application; left out, the initial one
    #[arg(long, value_name = "DIGITS", value_parser = pin)]
    pin: Option<String>,
}

impl Held {
    /// The card with power, what its certificates must be of, and the user's PIN.
    fn open(self) -> anyhow::Result<(Kept, Authority, String)> {
        let which = self.which.defaulting_to(PROFILE);
        let (profile, seed) = which.profile()?;
        let mut card = which.card()?;
        card.power_on()?;
        let authority = Authority::new(TestRoot::from_seed(seed));
        let authority = authority.context("the seed makes no authority")?;
        let initial = profile.certificates.map(|section| section.user.initial);
        let pin = self.pin.or(initial).unwrap_or_default();
        Ok((card, authority, pin))
    }
}

impl Certificate {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Certificate::Show(verb) => verb.run(),
            Certificate::Sign(verb) => verb.run(),
            Certificate::Verify(verb) => verb.run(),
            Certificate::Seal(verb) => verb.run(),
            Certificate::Open(verb) => verb.run(),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<ExitCode> {
        let (mut card, authority, _) = self.card.open()?;
        let own = authority.certificate().map_err(anyhow::Error::msg)?;
        let mut application = Application::select(&mut card)?;
        let mut out = io::stdout().lock();
        let kinds = [
            (Kind::Signature, Some(Pair::Signature), "signature 签名证书"),
            (
                Kind::Encryption,
                Some(Pair::Encryption),
                "encryption 加密证书",
            ),
            (Kind::Authority, None, "authority 证书机构"),
        ];
        for (kind, pair, title) in kinds {
            if self.pem.is_some_and(|wanted| wanted != kind) {
                continue;
            }
            let der = match pair {
                Some(pair) => application.certificate(pair)?,
                None => Some(own.clone()),
            };
            let Some(der) = der else {
                if self.pem.is_some() {
                    bail!("the card holds no such certificate");
                }
                writeln!(out, "{title}: none 无")?;
                continue;
            };
            if self.pem.is_some() {
                let pem = pki::as_pem(&der).map_err(anyhow::Error::msg)?;
                write!(out, "{pem}")?;
                return Ok(ExitCode::SUCCESS);
            }
            writeln!(out, "{title}")?;
            for fact in pki::facts(&der).map_err(anyhow::Error::msg)? {
                writeln!(out, "  {} {}: {}", fact.zh, fact.en, fact.says)?;
            }
        }
        let [year, month, day] = self.on;
        writeln!(out, "check on 检查日期 {year}-{month:02}-{day:02}")?;
        let findings = pki::check(&mut application, &own, self.on, None)?;
        for finding in &findings {
            let mark = if finding.is_good() { "ok  " } else { "BAD " };
            writeln!(out, "  {mark} {finding} {}", finding.item.words_zh())?;
        }
        Ok(if findings.iter().all(pki::Finding::is_good) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Sign {
    fn run(self) -> anyhow::Result<ExitCode> {
        let message = read(&self.file)?;
        let (mut card, _, pin) = self.card.open()?;
        let mut application = proven(&mut card, &pin)?;
        let signature = pki::sign(&mut application, &message)?;
        write_file(&self.output, &signature)
    }
}

impl Verify {
    fn run(self) -> anyhow::Result<ExitCode> {
        let (message, signature) = (read(&self.file)?, read(&self.signature)?);
        let (mut card, _, _) = self.card.open()?;
        let mut application = Application::select(&mut card)?;
        let certificate = application.certificate(Pair::Signature)?;
        let certificate = certificate.context("the card holds no signature certificate")?;
        let good = pki::verify(&certificate, &message, &signature).map_err(anyhow::Error::msg)?;
        let mut out = io::stdout().lock();
        if good {
            writeln!(out, "the signature is good 签名有效")?;
            Ok(ExitCode::SUCCESS)
        } else {
            writeln!(out, "the signature is none of this file 签名无效")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

impl Seal {
    fn run(self) -> anyhow::Result<ExitCode> {
        use std::hash::{BuildHasher as _, RandomState};
        let message = read(&self.file)?;
        let (mut card, _, _) = self.card.open()?;
        let mut application = Application::select(&mut card)?;
        let certificate = application.certificate(Pair::Encryption)?;
        let certificate = certificate.context("the card holds no encryption certificate")?;
        // Two keys that the library took from the system's entropy.
        let [high, low] = [0u8; 2].map(|of| RandomState::new().hash_one(of));
        let seed = u128::from(high) << 64 | u128::from(low);
        let random = Random::new(&seed.to_be_bytes());
        let mut next = 0;
        let mut fill = |into: &mut [u8]| next = random.fill(next, into);
        let envelope = pki::seal(&certificate, &message, &mut fill).map_err(anyhow::Error::msg)?;
        write_file(&self.output, &envelope.to_bytes())
    }
}

impl Open {
    fn run(self) -> anyhow::Result<ExitCode> {
        let bytes = read(&self.file)?;
        let envelope = Envelope::from_bytes(&bytes)
            .with_context(|| format!("{}: not an envelope of cardlab", self.file.display()))?;
        let (mut card, _, pin) = self.card.open()?;
        let mut application = proven(&mut card, &pin)?;
        let message = pki::open(&mut application, &envelope).map_err(|error| match error {
            PkiError::Refused {
                command: "DECRYPT", ..
            } => {
                let says = format!(
                    "the envelope is not for this card, or damaged: {error} 信封不属于此卡或已损坏"
                );
                Stop(Exit::Unexpected, says).into()
            }
            error => anyhow::Error::from(error),
        })?;
        write_file(&self.output, &message)
    }
}

fn proven<'c>(card: &'c mut dyn Icc, pin: &str) -> anyhow::Result<Application<'c>> {
    let mut application = Application::select(card)?;
    let refused = |says| Stop(Exit::Unexpected, says);
    match application.verify(Who::User, pin) {
        Ok(()) => Ok(application),
        Err(PkiError::WrongPin(left @ 1..)) => Err(refused(format!(
            "wrong PIN of the certificate application's user, {} left 证书应用用户PIN错误，剩余{left}次",
            if left == 1 { "1 try".to_owned() } else { format!("{left} tries") }
        ))
        .into()),
        Err(
            PkiError::WrongPin(0)
            | PkiError::Refused {
                sw: Sw::METHOD_BLOCKED,
                ..
            },
        ) => Err(refused(
            "the PIN of the certificate application's user is blocked 证书应用用户PIN已锁定".to_owned(),
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))
}

fn write_file(path: &PathBuf, bytes: &[u8]) -> anyhow::Result<ExitCode> {
    fs::write(path, bytes).with_context(|| format!("{}: cannot be written", path.display()))?;
    let len = bytes.len();
    writeln!(io::stdout(), "{}: {len} bytes", path.display())?;
    Ok(ExitCode::SUCCESS)
}

fn pin(text: &str) -> Result<String, String> {
    match Token::of(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected 4 to 16 digits, an even number of them".to_owned()),
    }
}

fn day(text: &str) -> Result<[u16; 3], String> {
    let wrong = || "expected YYYY-MM-DD, such as 2026-01-02".to_owned();
    let parts: Vec<u16> = text
        .split('-')
        .map(|part| part.parse().map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    match parts[..] {
        [year, month @ 1..=12, day @ 1..=31] => Ok([year, month, day]),
        _ => Err(wrong()),
    }
}
