//! `cardlab terminal`: the reader interface as a window would see it.

use crate::Stop;
use crate::card::{self, Which};
use crate::watch::{Known, Watch};
use anyhow::{Context as _, bail};
use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::link::pcsc::Pcscd;
use cardlab::link::pulled::{self, Pulled};
use cardlab::link::tap::Tap;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::medical::Amounts;
use cardlab_desk::profile::{File, Item};
use cardlab_desk::sam::{Level, Outfit, Sam};
use cardlab_desk::terminal::{
    Address, AuthType, BaseData, Blacklist, Data, Failure, HsmModule, Layouts, Payment, Policy,
    PsamModule, Receipt, SecurityModule, Terminal, TestHost, TestHsm,
};
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The functions of the national reader interface.
#[derive(Subcommand)]
pub(crate) enum Function {
    /// iReadCardBas: who the card belongs to 读基本信息
    ReadBase(At),
    /// iReadCard: the values at an address such as 'DF01EF0A|37|$' 读卡
    Read {
        /// File, items, '$': 'DF01EF15|2A|40:2|$'; a cyclic or transparent file alone, 'DF04EF08$'
        #[arg(value_name = "FILEADDR")]
        address: Address,
        /// Open by the reading key what the PIN or that key opens (iAuthType 2)
        #[arg(long)]
        key: bool,
        #[command(flatten)]
        at: At,
    },
    /// iWriteCard: put values at an address 写卡
    Write {
        /// As of `read`: 'DF01EF06|28|$'
        #[arg(value_name = "FILEADDR")]
        address: Address,
        /// The same with values in the place of items: 'DF01EF06|13800000000|$'
        #[arg(value_name = "DATA")]
        data: Data,
        #[command(flatten)]
        at: At,
    },
    /// iVerifyPIN 校验个人密码
    Verify {
        /// Its digits
        #[arg(value_name = "PIN")]
        digits: String,
        #[command(flatten)]
        at: At,
    },
    /// iChangePIN 修改个人密码
    ChangePin {
        /// The PIN there is
        #[arg(value_name = "PIN")]
        from: String,
        /// The PIN to come
        #[arg(value_name = "NEW")]
        to: String,
        #[command(flatten)]
        at: At,
    },
    /// iReloadPIN: set a new PIN at the desk 重装个人密码
    ReloadPin {
        /// The PIN to come
        #[arg(value_name = "NEW", default_value = "123456")]
        to: String,
        #[command(flatten)]
        at: At,
    },
    /// iUnblockPIN: unlock the PIN at the desk 解锁个人密码
    UnblockPin(At),
    /// iDoDebit: pay from the medical account 医疗消费
    Debit {
        /// What the account pays, in yuan
        #[arg(value_name = "YUAN")]
        account: Fen,
        /// What the holder pays, in yuan
        #[arg(long, value_name = "YUAN", default_value = "0")]
        own: Fen,
        /// What the pooled fund pays, in yuan
        #[arg(long, value_name = "YUAN", default_value = "0")]
        pooled: Fen,
        #[command(flatten)]
        pay: Pay,
        #[command(flatten)]
        at: At,
    },
    /// iReadDebitRecord: the details of the medical account 读交易明细
    DebitRecords(At),
    /// Load the medical account, the host's end included 账户划入
    Load {
        /// How much, in yuan
        #[arg(value_name = "YUAN")]
        amount: Fen,
        #[command(flatten)]
        pay: Pay,
        #[command(flatten)]
        at: At,
    },
}

/// How a transaction is made.
#[derive(Args)]
pub(crate) struct Pay {
    /// The key index
    #[arg(long, value_name = "N", default_value_t = 1)]
    index: u8,
    /// Pull our card at the deciding command and put it in again
    #[arg(long, value_name = "WHEN", conflicts_with = "reader")]
    pull: Option<When>,
}

/// When a card is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// Before the command reaches it
    Before,
    /// After it took the command, before it answers
    After,
}

impl From<When> for pulled::When {
    fn from(when: When) -> pulled::When {
        match when {
            When::Before => pulled::When::Before,
            When::After => pulled::When::After,
        }
    }
}

/// Where the card is, and what the terminal goes by.
#[derive(Args)]
pub(crate) struct At {
    #[command(flatten)]
    which: Which,
    /// A card in this reader of pcscd instead of ours: part of its name, or its number
    /// from 0; layouts are then the national ones
    #[arg(long, value_name = "NAME|INDEX", conflicts_with = "image")]
    reader: Option<String>,
    /// The layout of cards of its version: a shipped profile by name, or a profile file
    #[arg(long, value_name = "NAME|PATH")]
    layout: Option<String>,
    /// The kind of security module; with test keys of --seed
    #[arg(long, value_name = "KIND", default_value = "hsm")]
    module: Kind,
    /// A PSAM in this reader of pcscd instead of ours
    #[arg(long, value_name = "NAME|INDEX")]
    psam_reader: Option<String>,
    /// What the holder keys in
    #[arg(long, value_name = "DIGITS")]
    pin: Option<String>,
    /// Lost cards, one a line: CODE,NUMBER or FIRST-LAST (card numbers)
    #[arg(long, value_name = "FILE")]
    blacklist: Option<PathBuf>,
    /// What iReadCardBas gave: the card must be that one
    #[arg(long, value_name = "STRING")]
    card_info: Option<String>,
    /// The initial PIN transacts, too
    #[arg(long)]
    initial_pin: bool,
    /// Write items of a 1.0 card with the meaning that 2.0 gave their tags, filled with 'E'
    #[arg(long)]
    reuse: bool,
    /// The day, for a card's validity; today without it
    #[arg(long, value_name = "YYYYMMDD", value_parser = day)]
    today: Option<String>,
    /// The terminal's number, where no PSAM says it
    #[arg(long, value_name = "DIGITS", default_value = "411600000001", value_parser = number)]
    terminal: [u8; 6],
    /// The terminal's number as a device
    #[arg(long, value_name = "TEXT", default_value = "")]
    device: String,
    /// Print the exchange with card and module to the standard error
    #[arg(long)]
    trace: bool,
}

/// The kind of the security module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A machine of the centre, asked in strings
    Hsm,
    /// A card in the second connector, with national keys
    Psam,
}

/// What a function gave: lines for people, and the string of the interface.
type Shown = (Vec<[String; 3]>, String);

impl Function {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Function::ReadBase(at) => at.serve(|terminal, _| {
                let base = terminal.read_base()?;
                Ok((base_lines(&base), base.to_string()))
            }),
            Function::Read { address, key, at } => at.serve(|terminal, layouts| {
                let by = if key { AuthType::Key } else { AuthType::Pin };
                let data = terminal.read(by, &address)?;
                Ok((data_lines(layouts, &address, &data), data.to_string()))
            }),
            Function::Write { address, data, at } => at.serve(|terminal, layouts| {
                terminal.write(&address, &data)?;
                Ok((data_lines(layouts, &address, &data), String::new()))
            }),
            Function::Verify { digits, at } => at.serve(|terminal, _| {
                terminal.verify_pin(&digits)?;
                Ok((vec![line("个人密码", "PIN", "正确 right")], String::new()))
            }),
            Function::ChangePin { from, to, at } => at.serve(|terminal, _| {
                terminal.change_pin(&from, &to)?;
                let done = line("个人密码", "PIN", "已修改 changed");
                Ok((vec![done], String::new()))
            }),
            Function::ReloadPin { to, at } => at.at_the_desk(|terminal, _| {
                terminal.reload_pin(&to)?;
                let done = line("个人密码", "PIN", "已重装 set anew");
                Ok((vec![done], String::new()))
            }),
            Function::UnblockPin(at) => at.at_the_desk(|terminal, _| {
                terminal.unblock_pin()?;
                let done = line("个人密码", "PIN", "已解锁 unlocked");
                Ok((vec![done], String::new()))
            }),
            Function::Debit {
                account,
                own,
                pooled,
                pay,
                at,
            } => {
                let amounts = Amounts {
                    account,
                    own,
                    pooled,
                };
                at.pay(&pay, amounts, 0x2C)
            }
            Function::DebitRecords(at) => at.serve(|terminal, _| {
                let records = terminal.debit_records()?;
                let lines = records.iter().map(|record| {
                    let Amounts {
                        account,
                        own,
                        pooled,
                    } = record.amounts;
                    let kind = match record.kind.as_str() {
                        "1" => "划入 load",
                        "2" => "消费 purchase",
                        other => other,
                    };
                    let paid = format!(
                        "{kind} {} 终端 at {} 账户 {account} 自付 {own} 统筹 {pooled}",
                        record.time, record.terminal
                    );
                    line("明细", &format!("number {}", record.number), &paid)
                });
                let lines = lines.collect();
                let raw = records.iter().map(|record| format!("{record}|")).collect();
                Ok((lines, raw))
            }),
            Function::Load { amount, pay, at } => {
                let amounts = Amounts {
                    account: amount,
                    ..Amounts::default()
                };
                at.pay(&pay, amounts, 0x2A)
            }
        }
    }
}

impl At {
    /// A function of the service window, where the holder's document is seen first.
    fn at_the_desk(
        self,
        function: impl FnOnce(&mut Terminal<'_>, &Layouts) -> Result<Shown, Failure>,
    ) -> anyhow::Result<ExitCode> {
        writeln!(
            io::stdout(),
            "须出示 to be shown first: 社会保障卡 the card, 持卡人有效身份证件 the holder's \
             identity document"
        )?;
        self.serve(function)
    }

    /// Runs a function and prints what it gives.
    fn serve(
        self,
        function: impl FnOnce(&mut Terminal<'_>, &Layouts) -> Result<Shown, Failure>,
    ) -> anyhow::Result<ExitCode> {
        let card = self.card()?;
        let (layouts, policy) = (self.layouts()?, self.policy()?);
        let known = self.known()?;
        let mut watch = Watch::new(&known, false);
        let mut card = Heard::new("card", card, self.trace);
        let mut card = Tap::new(&mut card, |event| watch.hear(&event));
        let mut module = self.module(&layouts)?;
        let mut terminal = Terminal::new(&mut card, &mut *module, &layouts, policy);
        let result = function(&mut terminal, &layouts);
        Ok(watch.judge(print(result)?))
    }

    /// A purchase or a load, and what the card says where it was pulled.
    fn pay(self, pay: &Pay, amounts: Amounts, ins: u8) -> anyhow::Result<ExitCode> {
        let (layouts, policy) = (self.layouts()?, self.policy()?);
        let root = TestRoot::from_seed(self.which.seed());
        let [_, second, _] = layouts.all() else {
            bail!("three layouts are needed");
        };
        let mut host = TestHost::new(root, second);
        let payment = Payment {
            index: pay.index,
            amounts,
            time: now(),
        };
        let mut pulled = Pulled::new(self.card()?);
        if let Some(when) = pay.pull {
            pulled.pull_at(ins, when.into());
        }
        let known = self.known()?;
        let mut watch = Watch::new(&known, false);
        let mut card = Heard::new("card", pulled, self.trace);
        let mut card = Tap::new(&mut card, |event| watch.hear(&event));
        let mut module = self.module(&layouts)?;
        let mut terminal = Terminal::new(&mut card, &mut *module, &layouts, policy);
        let result = match ins {
            0x2C => terminal.debit(&payment),
            _ => terminal.load(&payment, &mut host),
        };
        let Some(pending) = terminal.pending().cloned() else {
            let code = print(result.map(|receipt| receipt_shown(&receipt)))?;
            return Ok(watch.judge(code));
        };
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "the card was pulled; whether it paid is not known 卡已拔出，交易结果未知"
        )?;
        writeln!(out, "put it in again 请重新插卡")?;
        let recovered = again(|| terminal.recover(&pending, &mut host));
        drop(out);
        let code = match recovered {
            Ok(None) => {
                let lines = vec![line("结果", "result", "卡未交易 the card did not take it")];
                print(Ok((lines, String::new())))
            }
            Ok(Some(receipt)) => print(Ok(receipt_shown(&receipt))),
            Err(failure) => print(Err(failure)),
        };
        Ok(watch.judge(code?))
    }

    fn known(&self) -> anyhow::Result<Known> {
        match &self.reader {
            Some(_) => Ok(Known::nothing()),
            None => Known::of(&self.which),
        }
    }

    fn card(&self) -> anyhow::Result<Box<dyn Icc>> {
        match &self.reader {
            Some(reader) => Ok(Box::new(in_reader(reader)?)),
            None => Ok(Box::new(self.which.card()?)),
        }
    }

    fn layouts(&self) -> anyhow::Result<Layouts> {
        let national = Layouts::national().map_err(|report| anyhow::anyhow!("{report}"))?;
        let layouts = match &self.reader {
            Some(_) => national,
            None => national.with(self.which.profile()?.0),
        };
        match &self.layout {
            Some(layout) => Ok(layouts.with(card::load(layout)?)),
            None => Ok(layouts),
        }
    }

    fn policy(&self) -> anyhow::Result<Policy> {
        let blacklist = match &self.blacklist {
            None => Blacklist::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: cannot be read", path.display()))?;
                text.parse().with_context(|| path.display().to_string())?
            }
        };
        let today = self.today.clone();
        Ok(Policy {
            blacklist,
            today: Some(today.unwrap_or_else(|| clock().format("%Y%m%d").to_string())),
            card_info: self.card_info.clone(),
            pin: self.pin.clone(),
            initial_pin_transacts: self.initial_pin,
            reuse: self.reuse,
            device: self.device.clone(),
            ..Policy::default()
        })
    }

    fn module(&self, layouts: &Layouts) -> anyhow::Result<Box<dyn SecurityModule>> {
        if let Some(reader) = &self.psam_reader {
            let psam = Heard::new("psam", in_reader(reader)?, self.trace);
            return Ok(Box::new(PsamModule::new(psam)));
        }
        let root = TestRoot::from_seed(self.which.seed());
        match self.module {
            Kind::Hsm => {
                let hsm = Overheard {
                    hsm: TestHsm::new(root, layouts.all()),
                    trace: self.trace,
                };
                Ok(Box::new(HsmModule::new(hsm, self.terminal)))
            }
            Kind::Psam => {
                let (profile, seed) = self.which.profile()?;
                let outfit = Outfit {
                    terminal: self.terminal,
                    ..Outfit::of(&profile, Level::National)
                };
                let sam = Sam::issue(&profile, seed, &outfit);
                let sam = sam.with_context(|| format!("no PSAM for profile {}", profile.id))?;
                let sam = Heard::new("psam", sam, self.trace);
                Ok(Box::new(PsamModule::new(sam)))
            }
        }
    }
}

/// A card in a reader of pcscd, waited for.
pub(crate) fn in_reader(wanted: &str) -> anyhow::Result<Pcscd> {
    let socket = Pcscd::socket();
    let no_daemon = || {
        let says = format!("no pcscd listens at {}", socket.display());
        Stop(Exit::NoCard, says)
    };
    let readers = Pcscd::list(&socket).with_context(no_daemon)?;
    let name = match wanted.parse::<usize>() {
        Ok(index) => readers.get(index).cloned().with_context(|| {
            let says = format!("no reader {index}; there are {readers:?}, from 0");
            Stop(Exit::NoCard, says)
        })?,
        Err(_) => wanted.to_owned(),
    };
    let patience = Duration::from_secs(5);
    Pcscd::find(&socket, &name, patience)
        .map_err(|error| anyhow::Error::from(Stop(Exit::NoCard, error.to_string())))
}

/// Tries until the card is there again, for a minute.
fn again<T>(mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 0..120 {
        match attempt() {
            Err(Failure::NoCard(_) | Failure::NoAnswer(_)) => {
                std::thread::sleep(Duration::from_millis(500));
            }
            result => return result,
        }
    }
    attempt()
}

fn print(result: Result<Shown, Failure>) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match result {
        Ok((lines, raw)) => {
            for [zh, en, value] in lines {
                writeln!(out, "{zh} {en}: {value}")?;
            }
            writeln!(out, "返回值 return code: 0")?;
            if !raw.is_empty() {
                writeln!(out, "{raw}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(out, "{}", failure.words_zh())?;
            writeln!(out, "{}", failure.words())?;
            writeln!(out, "返回值 return code: {}", failure.code())?;
            Ok(match failure {
                Failure::NoCard(_) => ExitCode::from(Exit::NoCard as u8),
                _ => ExitCode::FAILURE,
            })
        }
    }
}

fn line(zh: &str, en: &str, value: &str) -> [String; 3] {
    let value = if value.is_empty() { "-" } else { value };
    [zh, en, value].map(str::to_owned)
}

fn base_lines(base: &BaseData) -> Vec<[String; 3]> {
    let facts = &base.facts;
    let fault = base.name_fault.map(|fault| {
        let words = format!("{} {fault}", fault.words_zh());
        line("姓名有误", "fault in the name", &words)
    });
    let mut lines = vec![line("姓名", "name", &base.name)];
    lines.extend(fault);
    lines.extend([
        line("社会保障号码", "social security number", &base.number),
        line("卡号", "card number", &facts.card_number),
        line("发卡地区", "region", &facts.identity.region_digits()),
        line("规范版本", "version", &facts.version_text),
        line("发卡日期", "date of issue", &facts.issued),
        line("卡有效期", "valid until", &facts.expires),
        line("终端机编号", "terminal", &base.terminal),
    ]);
    lines
}

/// The values of an address with the names of their items.
fn data_lines(layouts: &Layouts, address: &Address, data: &Data) -> Vec<[String; 3]> {
    let mut lines = Vec::new();
    for (address, data) in address.files().iter().zip(&data.0) {
        // What a tag means is the same in all versions; the newest knows the most.
        let file = layouts.all().iter().rev().find_map(|layout| {
            layout
                .directory_by_label(&address.directory)?
                .file(address.fid)
        });
        let Some(file) = file else { continue };
        let names = |items: &[Item], value: &str| {
            let values = value.split('^').zip(items);
            let named = values.filter(|(value, _)| !value.is_empty());
            let named: Vec<_> = named
                .map(|(value, item)| format!("{} {value}", item.names.zh))
                .collect();
            named.join(", ")
        };
        for (index, value) in data.values.iter().enumerate() {
            let item = address.items.get(index).and_then(|item| {
                let mut items = file.records.iter().map(|record| &record.item);
                items.find(|known| known.tag == Some(item.tag))
            });
            lines.push(match item {
                Some(item) if item.inner.is_empty() => line(&item.names.zh, &item.names.en, value),
                Some(item) => line(&item.names.zh, &item.names.en, &names(&item.inner, value)),
                None => file_line(file, index, &names(&file.fields, value), value),
            });
        }
    }
    lines
}

/// A record of a cyclic file, or the bytes of a transparent one.
fn file_line(file: &File, index: usize, named: &str, value: &str) -> [String; 3] {
    if file.fields.is_empty() {
        let bytes = format!("{} bytes 字节", value.len() / 2);
        line(&file.names.zh, &file.names.en, &bytes)
    } else {
        let number = format!("{} {}", file.names.en, index + 1);
        line(&file.names.zh, &number, named)
    }
}

fn receipt_shown(receipt: &Receipt) -> Shown {
    let Amounts {
        account,
        own,
        pooled,
    } = receipt.amounts;
    let kind = if receipt.kind == 0x31 {
        "账户划入 load"
    } else {
        "医疗消费 purchase"
    };
    let balance = receipt.balance.map_or_else(String::new, |b| b.to_string());
    let lines = vec![
        line("交易", "transaction", kind),
        line("卡号", "card number", &receipt.card_number),
        line("账户金额", "account", &account.to_string()),
        line("自付金额", "holder", &own.to_string()),
        line("统筹金额", "pooled fund", &pooled.to_string()),
        line("余额", "balance", &balance),
        line("交易序号", "number", &receipt.number.to_string()),
        line("交易验证码", "TAC", &hex::encode_upper(receipt.tac)),
    ];
    (lines, receipt.to_string())
}

/// A card or a PSAM, overheard.
struct Heard;

impl Heard {
    #[expect(clippy::new_ret_no_self, reason = "the listener's type has no name")]
    fn new(who: &'static str, icc: impl Icc, trace: bool) -> impl Icc {
        Tap::new(icc, move |event| {
            if trace {
                let event = event.to_string().replace('\n', &format!("\n{who} "));
                let _ = writeln!(io::stderr(), "{who} {event}");
            }
        })
    }
}

/// An HSM, overheard.
struct Overheard {
    hsm: TestHsm,
    trace: bool,
}

impl cardlab_desk::terminal::HsmLink for Overheard {
    fn answer(&mut self, ask: &str) -> Result<String, cardlab_desk::terminal::HsmError> {
        let answer = self.hsm.answer(ask);
        if self.trace {
            let shown = answer.as_deref().unwrap_or("refused");
            let _ = writeln!(io::stderr(), "hsm > {ask}\nhsm < {shown}");
        }
        answer
    }
}

/// The time in China.
fn clock() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now() + chrono::TimeDelta::hours(8)
}

/// Now, YYYYMMDDhhmmss in BCD.
pub(crate) fn now() -> [u8; 7] {
    let digits = clock().format("%Y%m%d%H%M%S").to_string();
    let bytes = hex::decode(digits).unwrap_or_default();
    bytes.try_into().unwrap_or_default()
}

fn day(text: &str) -> Result<String, String> {
    if cardlab_desk::numbers::is_date(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a day, YYYYMMDD".to_owned())
    }
}

fn number(text: &str) -> Result<[u8; 6], String> {
    let decimal = text.bytes().all(|digit| digit.is_ascii_digit());
    let bytes = hex::decode(text).ok().filter(|_| decimal);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "expected 12 digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_terminal_s_number_has_twelve_digits() {
        assert_eq!(number("411600000001"), Ok([0x41, 0x16, 0, 0, 0, 1]));
        for text in ["", "41160000000", "41160000000A", "4116000000011"] {
            assert!(number(text).is_err(), "{text:?}");
        }
    }
}
