//! `cardlab pay`: a payment at a terminal, with each decision explained.

use crate::bank::keyed_pin;
use crate::card::{self, Which};
use crate::terminal::{in_reader, now};
use crate::watch::{Known, Watch};
use anyhow::Context as _;
use cardlab::aid::Aid;
use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::link::tap::Tap;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::bank::application::Ordered;
use cardlab_desk::bank::host::{Bank, Cvr, State, TYPE_CASH_LOAD};
use cardlab_desk::emv::{
    Cryptogram, End, Holder, Host, OutOfReach, Outcome, Sale, Step, Terminal, Why, activate, pay,
};
use cardlab_desk::profile::BankSide;
use clap::Args;
use std::io::{self, StdoutLock, Write};
use std::process::ExitCode;

/// Pay at a terminal of ours, with our card or one in a reader.
#[derive(Args)]
pub(crate) struct Pay {
    #[command(flatten)]
    which: Which,
    /// How much, in yuan
    #[arg(
        long,
        value_name = "YUAN",
        required_unless_present = "activate",
        allow_negative_numbers = true
    )]
    amount: Option<Fen>,
    /// The currency of the amount by its code; 0156 without it 交易货币
    #[arg(
        long,
        value_name = "CODE",
        value_parser = currency,
        conflicts_with_all = ["load", "activate"]
    )]
    currency: Option<[u8; 2]>,
    /// The merchant insists on asking the bank 要求联机
    #[arg(long, conflicts_with_all = ["offline", "ecash"])]
    online: bool,
    /// At a terminal without a line to the bank 脱机终端
    #[arg(long, conflicts_with_all = ["load", "decline", "unable"])]
    offline: bool,
    /// Ask the card to pay with electronic cash 电子现金
    #[arg(long, conflicts_with = "load")]
    ecash: bool,
    /// Load electronic cash out of the account 圈存
    #[arg(long)]
    load: bool,
    /// At a terminal that wants the SM set of cards that have it, SM2 and SM4; experimental
    /// 国密算法（试验性）
    #[arg(long)]
    sm: bool,
    /// The bank activates, or unblocks, the application, and nothing is paid 激活金融应用
    #[arg(long, conflicts_with_all = ["amount", "online", "offline", "ecash", "load", "pin"])]
    activate: bool,
    /// What the holder keys in, one after the other; the PIN of the profile without it
    #[arg(long, value_name = "DIGITS", value_parser = keyed_pin)]
    pin: Vec<String>,
    /// The holder keys in nothing 不输入密码
    #[arg(long, conflicts_with = "pin")]
    no_pin: bool,
    /// The account is empty, and the bank declines 主机拒绝
    #[arg(long, conflicts_with = "unable")]
    decline: bool,
    /// The bank cannot be reached 无法联机
    #[arg(long)]
    unable: bool,
    /// The application by its name; that of the highest priority without it
    #[arg(long, value_name = "AID", value_parser = card::name)]
    application: Option<Aid>,
    /// A card in this reader of pcscd instead of ours: part of its name, or its number from
    /// 0; the bank and the authority remain those for tests
    #[arg(long, value_name = "NAME|INDEX", conflicts_with = "image")]
    reader: Option<String>,
    /// Day and time; now without it
    #[arg(long, value_name = "YYYYMMDDhhmmss", value_parser = time)]
    when: Option<[u8; 7]>,
    /// Print the exchange to the standard error
    #[arg(long)]
    trace: bool,
}

impl Pay {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (profile, seed) = self.which.profile()?;
        let side = profile.bank.as_ref().with_context(|| {
            format!(
                "profile {} has no bank side 无金融应用: henan-2.0 and henan-3.0 have one",
                profile.id
            )
        })?;
        let ordered = self.ordered(side)?;
        let bank = side.host(seed);
        let known = Known::of(&self.which)?;
        let mut watch = Watch::new(&known, self.trace);
        let mut card: Box<dyn Icc + '_> = match &self.reader {
            Some(reader) => {
                let trace = self.trace;
                Box::new(Tap::new(in_reader(reader)?, move |event| {
                    if trace {
                        let _ = writeln!(io::stderr(), "{event}");
                    }
                }))
            }
            None => Box::new(Tap::new(self.which.card()?, |event| watch.hear(&event))),
        };
        card.power_on()?;
        let mut terminal = Terminal::of_a_merchant();
        terminal.currency = self.currency.unwrap_or(terminal.currency);
        let counter = Counter {
            pay: &self,
            ordered,
            account: ordered
                .account()
                .with_context(|| format!("no record of {} has an account, 5A", ordered.aid()))?,
            terminal: if self.sm {
                terminal.with_sm()
            } else {
                terminal
            },
            when: self.when.unwrap_or_else(now),
            out: io::stdout().lock(),
        };
        let code = counter.serve(&mut *card, bank)?;
        drop(card);
        Ok(if watch.is_red() && code == ExitCode::SUCCESS {
            ExitCode::FAILURE
        } else {
            code
        })
    }

    /// The application that is wanted, as its bank ordered it.
    fn ordered<'s>(&self, side: &'s BankSide) -> anyhow::Result<&'s Ordered> {
        let mut all = side.applications.iter().map(|one| &one.ordered);
        let Some(wanted) = &self.application else {
            return all
                .next()
                .context("the profile's bank side has no application");
        };
        let names: Vec<_> = all.clone().map(|one| one.aid().to_string()).collect();
        all.find(|one| one.aid() == wanted).with_context(|| {
            let names = names.join(", ");
            format!("the profile has no application {wanted}: there are {names}")
        })
    }

    /// Whether the card is a new one, gone with this call.
    fn is_new(&self) -> bool {
        self.reader.is_none() && !self.which.is_kept()
    }
}

/// The counter where it is paid.
struct Counter<'p> {
    pay: &'p Pay,
    ordered: &'p Ordered,
    /// Its account.
    account: String,
    terminal: Terminal,
    when: [u8; 7],
    out: StdoutLock<'static>,
}

impl Counter<'_> {
    fn serve(mut self, card: &mut dyn Icc, mut bank: Bank) -> anyhow::Result<ExitCode> {
        if self.pay.sm && !self.ordered.has_sm_set() {
            writeln!(
                self.out,
                "配置中该应用无国密算法集 the profile gives this application no SM set: \
                 \"sm_algorithms\": true does"
            )?;
        }
        if self.pay.activate {
            return self.activate(card, &mut bank);
        }
        if self.pay.is_new() && self.ordered.starts_inactive() {
            self.activate_new(card, &mut bank)?;
        }
        // The host keeps nothing between calls: what became of the card it takes as it is.
        let mut account = bank.account_mut(&self.account);
        if let Some(account) = &mut account {
            account.state = State::Active;
        }
        let amount = self.pay.amount.unwrap_or_default();
        // What is loaded is of the first currency.
        if self.pay.is_new() && self.pay.ecash && self.pay.currency.is_none() {
            self.load_new(card, &mut bank, amount)?;
        }
        let account = bank.account_mut(&self.account);
        if let Some(account) = account.filter(|_| self.pay.decline) {
            account.balance = Fen::ZERO;
        }
        let mut sale = self.sale(amount);
        sale.cash = self.pay.ecash;
        sale.online = self.pay.online;
        if self.pay.load {
            sale.kind = TYPE_CASH_LOAD;
            // Nothing is loaded without the bank.
            sale.online = true;
        }
        if self.pay.offline {
            self.terminal = self.terminal.offline_only();
        }
        let holder = self.holder();
        let mut nobody = OutOfReach;
        let host: &mut dyn Host = if self.pay.unable {
            &mut nobody
        } else {
            &mut bank
        };
        let outcome = pay(card, &self.terminal, &sale, &holder, host);
        self.tell(&outcome.steps)?;
        self.summarise(amount, &outcome)?;
        Ok(match &outcome.end {
            End::Approved { .. } => ExitCode::SUCCESS,
            End::Terminated(Why::Lost(_)) => ExitCode::from(Exit::NoCard as u8),
            End::Declined { .. } | End::Terminated(_) => ExitCode::FAILURE,
        })
    }

    fn activate(mut self, card: &mut dyn Icc, bank: &mut Bank) -> anyhow::Result<ExitCode> {
        let sale = self.sale(Fen::ZERO);
        let activation = activate(card, &self.terminal, &sale, self.ordered.aid(), bank);
        self.tell(&activation.steps)?;
        if activation.done && self.pay.is_new() {
            writeln!(
                self.out,
                "新卡仅存于本次调用，使用--image保留 this new card is gone with the call; \
                 --image keeps one"
            )?;
        }
        Ok(match (activation.done, activation.stopped) {
            (true, _) => ExitCode::SUCCESS,
            (false, Some(Why::Lost(_))) => ExitCode::from(Exit::NoCard as u8),
            (false, _) => ExitCode::FAILURE,
        })
    }

    /// Has the bank activate a new card, which would pay nothing.
    fn activate_new(&mut self, card: &mut dyn Icc, bank: &mut Bank) -> anyhow::Result<()> {
        let sale = self.sale(Fen::ZERO);
        let activation = activate(card, &self.terminal, &sale, self.ordered.aid(), bank);
        anyhow::ensure!(activation.done, "the new card could not be activated");
        writeln!(
            self.out,
            "新发卡片：银行先激活金融应用 a new card: its bank activates the application first \
             (`cardlab pay --activate`)"
        )?;
        Ok(())
    }

    /// Loads electronic cash onto a new card, which has none.
    fn load_new(&mut self, card: &mut dyn Icc, bank: &mut Bank, amount: Fen) -> anyhow::Result<()> {
        let Some(limit) = self.ordered.cash_limit() else {
            return Ok(());
        };
        let wanted = amount.count().saturating_mul(2).max(10_000);
        let wanted = Fen::new(wanted).min(limit);
        let mut sale = self.sale(wanted);
        (sale.kind, sale.online) = (TYPE_CASH_LOAD, true);
        sale.seed = sale.seed.wrapping_add(1);
        let holder = Holder {
            pins: self.ordered.pin().into_iter().collect(),
        };
        let outcome = pay(card, &self.terminal, &sale, &holder, bank);
        writeln!(
            self.out,
            "新发卡片：先圈存{wanted} a new card: {wanted} of electronic cash is loaded first \
             (`cardlab pay --load`): {}",
            outcome.steps.last().map_or("", |step| &step.en)
        )?;
        Ok(())
    }

    fn sale(&self, amount: Fen) -> Sale {
        let [_, year, month, day, hour, minute, second] = self.when;
        let time = self
            .when
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        Sale {
            amount,
            other: Fen::ZERO,
            kind: 0x00,
            date: [year, month, day],
            time: [hour, minute, second],
            cash: false,
            online: false,
            application: self.pay.application,
            seed: time.wrapping_add(self.pay.which.seed()),
        }
    }

    fn holder(&self) -> Holder {
        let pins = if self.pay.no_pin {
            Vec::new()
        } else if self.pay.pin.is_empty() {
            // Electronic cash that runs low asks for it once more, for the bank.
            let pin = self.ordered.pin().into_iter();
            pin.cycle().take(1 + usize::from(self.pay.ecash)).collect()
        } else {
            self.pay.pin.clone()
        };
        Holder { pins }
    }

    /// Prints the story, by parts.
    fn tell(&mut self, steps: &[Step]) -> io::Result<()> {
        let mut phase = None;
        for step in steps {
            if phase != Some(step.phase) {
                phase = Some(step.phase);
                let (zh, en) = (step.phase.words_zh(), step.phase.words());
                writeln!(self.out, "{zh} {en}")?;
            }
            writeln!(self.out, "  {}", step.zh)?;
            writeln!(self.out, "  {}", step.en)?;
        }
        Ok(())
    }

    fn summarise(&mut self, amount: Fen, outcome: &Outcome) -> io::Result<()> {
        let out = &mut self.out;
        if let End::Terminated(Why::ApplicationBlocked(_)) = outcome.end {
            return writeln!(
                out,
                "金融应用须由发卡银行激活或解锁：cardlab pay --activate --image FILE\n\
                 its bank has to activate or unblock it: cardlab pay --activate --image FILE"
            );
        }
        writeln!(out, "\n金额 amount: {amount}")?;
        let found: Vec<_> = outcome
            .tvr
            .findings([0xFF; 5])
            .map(|finding| finding.words().0)
            .collect();
        let found = if found.is_empty() {
            "nothing was found".to_owned()
        } else {
            found.join("; ")
        };
        writeln!(out, "终端验证结果 TVR: {} {found}", outcome.tvr)?;
        writeln!(out, "交易状态信息 TSI: {}", outcome.tsi)?;
        let holder = hex::encode_upper(outcome.holder);
        writeln!(out, "持卡人验证结果 CVM results: {holder}")?;
        let cryptograms = [
            ("第一次应用密文 first cryptogram", &outcome.first),
            ("第二次应用密文 second cryptogram", &outcome.second),
        ];
        for (name, made) in cryptograms {
            if let Some(made) = made {
                writeln!(out, "{name}: {}", cryptogram(made))?;
            }
        }
        if let Some(asked) = &outcome.asked {
            let answer = outcome.answered.as_ref().map_or_else(
                || "无应答 no answer".to_owned(),
                |answer| {
                    let code = String::from_utf8_lossy(&answer.code).into_owned();
                    format!("{code} {} {}", answer.words_zh, answer.words)
                },
            );
            let field = hex::encode_upper(asked.objects());
            writeln!(out, "报文域55 field 55: {field}")?;
            let (account, sequence) = (&asked.account, asked.sequence);
            writeln!(
                out,
                "主机 host: 账号 account {account}/{sequence:02}: {answer}"
            )?;
        }
        for script in &outcome.scripts {
            writeln!(out, "脚本结果 script: {}", hex::encode_upper(script))?;
        }
        if let Some(balance) = outcome.balance {
            writeln!(out, "电子现金余额 electronic cash: {balance}")?;
        }
        Ok(())
    }
}

fn cryptogram(made: &Cryptogram) -> String {
    let kind = match made.information >> 6 {
        0 => "AAC",
        1 => "TC",
        _ => "ARQC",
    };
    let results = made.issuer().map_or_else(String::new, |issuer| {
        let Cvr(bytes) = issuer.cvr;
        format!(", CVR {}", hex::encode_upper(bytes))
    });
    let value = hex::encode_upper(made.cryptogram);
    format!("{kind} {value}, ATC {}{results}", made.atc)
}

fn currency(text: &str) -> Result<[u8; 2], String> {
    let decimal = text.bytes().all(|digit| digit.is_ascii_digit());
    let bytes = hex::decode(text).ok().filter(|_| decimal);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "expected 4 digits, such as 0344".to_owned())
}

fn time(text: &str) -> Result<[u8; 7], String> {
    let decimal = text.bytes().all(|digit| digit.is_ascii_digit());
    let bytes = hex::decode(text).ok().filter(|_| decimal);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .filter(|_| cardlab_desk::numbers::is_date(text.get(..8).unwrap_or_default()))
        .ok_or_else(|| "expected day and time, YYYYMMDDhhmmss".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{currency, time};

    #[test]
    fn a_currency_is_four_digits() {
        assert_eq!(currency("0344"), Ok([0x03, 0x44]));
        for text in ["", "344", "HKD", "03A4", "00344"] {
            assert!(currency(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_time_is_a_day_and_six_digits() {
        let expected = [0x20, 0x26, 0x07, 0x01, 0x12, 0x34, 0x56];
        assert_eq!(time("20260701123456"), Ok(expected));
        for text in ["", "20260701", "20261301123456", "2026070112345A"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
