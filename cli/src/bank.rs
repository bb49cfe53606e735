//! `cardlab bank`: the bank's host for a terminal that is not ours.
//!
//! Each call is a host of its own: it knows no earlier transaction, and keeps nothing.

use crate::card;
use crate::explain;
use anyhow::{Context as _, bail};
use cardlab::crypto::{Algorithm, Key};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab_desk::bank::host::{
    Account, Bank as Host, Decision, IssuerData, Reason, Request, Scripts, State, fen_of,
};
use cardlab_desk::bank::key::{CardKeys, KeySet};
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, Write};
use std::process::ExitCode;

/// The bank's host.
#[derive(Subcommand)]
pub(crate) enum Bank {
    /// Decide on a transaction that a terminal sends on line 联机授权
    #[command(after_help = "\
Exit codes: 0 approved, 1 declined or not our card, 2 the call or a profile is wrong.
`cardlab pay --online` prints field 55 of its message: that is one; in parts:
  cardlab bank authorise --sequence 1 --data '57116228004116000202649D34062010000000' \\
      --data '9F0206000000001234 9F0306000000000000 9F1A020156 95050000040000 5F2A020156' \\
      --data '9A03260701 9C0100 9F3704D64B8587 82027D00 9F36020002 9F26080886E3065817F710' \\
      --data '9F101307010103A41000010A010000000000EE2B4967' --script load=50.00")]
    Authorise(Authorise),
}

impl Bank {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Bank::Authorise(verb) => verb.run(),
        }
    }
}

/// Decide on a transaction, explain it, and answer the card.
#[derive(Args)]
pub(crate) struct Authorise {
    /// Data objects in hex, as field 55 of a message has them; may be repeated
    #[arg(long, value_name = "TLV", required = true)]
    data: Vec<String>,
    /// The account, where no 5A or 57 is among the data
    #[arg(long, value_name = "DIGITS", value_parser = account)]
    account: Option<String>,
    /// The card's sequence number, where no 5F34 is among the data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=99))]
    sequence: Option<u8>,
    /// The PIN that was keyed in for the bank, in the clear
    #[arg(long, value_name = "DIGITS", value_parser = keyed_pin)]
    pin: Option<String>,
    /// The profile whose accounts the bank has
    #[arg(long, value_name = "NAME|PATH", default_value = card::PROFILE)]
    profile: String,
    /// What the bank's test keys start from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Other master keys in hex, for cryptograms, MACs and enciphering: of triple DES, or of
    /// SM4 (experimental) where 9F10 says that the card used that
    #[arg(long, value_name = "HEX", num_args = 3, value_names = ["AC", "MAC", "ENC"])]
    masters: Option<Vec<String>>,
    /// The card's own keys in hex in place of those under masters, for cryptograms, MACs and
    /// enciphering; that for cryptograms alone checks no MAC and makes no script
    #[arg(
        long,
        value_name = "HEX",
        num_args = 1..=3,
        value_names = ["AC", "MAC", "ENC"],
        conflicts_with = "masters"
    )]
    card_keys: Option<Vec<String>>,
    /// What became of the account
    #[arg(long, value_name = "STATE", default_value = "active")]
    state: Became,
    /// What is in the account, in yuan; opens one that the profile does not have
    #[arg(long, value_name = "YUAN")]
    balance: Option<Fen>,
    /// A command for the card: block, unblock (activates, too), card-block, unblock-pin,
    /// change-pin=DIGITS, load=YUAN, put=TAG=HEX, record=SFI.NUMBER=HEX; may be repeated
    #[arg(long, value_name = "COMMAND", value_parser = script)]
    script: Vec<Script>,
    /// Scripts for before the second cryptogram, in 71 and not in 72
    #[arg(long, requires = "script")]
    before: bool,
}

/// What became of an account.
#[derive(Clone, Copy, ValueEnum)]
enum Became {
    /// In use
    Active,
    /// Never activated
    Inactive,
    /// The card was reported lost
    Lost,
    /// The card was reported stolen
    Stolen,
    /// Closed
    Closed,
}

/// A script that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Script {
    Block,
    Unblock,
    CardBlock,
    UnblockPin,
    ChangePin(String),
    Load(Fen),
    Put(u16, Vec<u8>),
    /// SFI, number, the whole template.
    Record(u8, u8, Vec<u8>),
}

/// A PIN as a keypad takes it.
///
/// # Errors
/// What is expected.
pub(crate) fn keyed_pin(text: &str) -> Result<String, String> {
    let is_pin = (4..=12).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    is_pin
        .then(|| text.to_owned())
        .ok_or_else(|| "expected 4 to 12 digits".to_owned())
}

fn account(text: &str) -> Result<String, String> {
    let is_account = (8..=19).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    is_account
        .then(|| text.to_owned())
        .ok_or_else(|| "expected 8 to 19 digits".to_owned())
}

/// `SFI.NUMBER=HEX`.
fn record(text: &str) -> Option<Script> {
    let (place, value) = text.split_once(['=', ':'])?;
    let (sfi, number) = place.split_once('.')?;
    let (sfi, number) = (sfi.parse().ok()?, number.parse().ok()?);
    let value = hex::decode(value).ok()?;
    let fits = (1..=30).contains(&sfi) && number > 0 && (1..=250).contains(&value.len());
    fits.then_some(Script::Record(sfi, number, value))
}

fn script(text: &str) -> Result<Script, String> {
    let (name, value) = match text.split_once(['=', ' ']) {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    match (name, value) {
        ("block", None) => Ok(Script::Block),
        ("unblock", None) => Ok(Script::Unblock),
        ("card-block", None) => Ok(Script::CardBlock),
        ("unblock-pin", None) => Ok(Script::UnblockPin),
        ("change-pin", pin) => match keyed_pin(pin.unwrap_or_default()) {
            Ok(pin) => Ok(Script::ChangePin(pin)),
            Err(_) => Err("expected change-pin= and 4 to 12 digits".to_owned()),
        },
        ("load", Some(yuan)) => match yuan.parse() {
            Ok(fen) => Ok(Script::Load(fen)),
            Err(error) => Err(format!("load={yuan}: {error}")),
        },
        ("load", None) => Err("expected load= and yuan, such as load=50.00".to_owned()),
        ("put", Some(put)) => {
            let wrong = "expected put=, a tag of two bytes, = and its value: put=9F58=05";
            let (tag, value) = put.split_once(['=', ':']).ok_or(wrong)?;
            match (u16::from_str_radix(tag, 16), hex::decode(value)) {
                (Ok(tag @ 0x5F00..), Ok(value)) if (1..=240).contains(&value.len()) => {
                    Ok(Script::Put(tag, value))
                }
                _ => Err(wrong.to_owned()),
            }
        }
        ("record", value) => record(value.unwrap_or_default()).ok_or_else(|| {
            "expected record=, SFI, a dot, the number, = and the record with its 70: \
             record=1.2=70055F20022020"
                .to_owned()
        }),
        _ => Err(
            "expected block, unblock, card-block, unblock-pin, change-pin=, load=, put= or \
             record="
                .to_owned(),
        ),
    }
}

impl Authorise {
    fn run(self) -> anyhow::Result<ExitCode> {
        let request = self.request()?;
        let mut bank = self.bank(&request)?;
        let issuer = request.issuer_data()?;
        let proven = bank.prove(&request)?;
        let decision = bank.authorise(&request)?;
        let mut out = io::stdout().lock();
        self.tell_card(&mut out, &request, &issuer, proven)?;
        tell_decision(&mut out, &bank, &request, &decision)?;
        let scripts = match proven {
            Ok(()) => self.commands(&bank, &request, &issuer, &decision)?,
            Err(_) => Vec::new(),
        };
        if proven.is_err() && !self.script.is_empty() {
            writeln!(out, "scripts 脚本: none, it is not our card 非本行卡")?;
        }
        let with = Decision {
            scripts,
            ..decision
        };
        let tag = if self.before { tag!(0x71) } else { tag!(0x72) };
        if let Some(template) = with.script_template(tag) {
            for command in &with.scripts {
                writeln!(out, "script 脚本 {}", hex::encode_upper(command))?;
                writeln!(out, "  {}", explain::command(command))?;
            }
            writeln!(out, "{:02X} {}", tag.value(), hex::encode_upper(template))?;
        }
        Ok(match with.reason {
            Reason::Approved => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// The request out of the data, and of whose card.
    fn request(&self) -> anyhow::Result<Request> {
        let mut request = Request::of("", 0);
        for data in &self.data {
            let bytes = bytes(data).with_context(|| format!("--data {data:?}"))?;
            let read = request.clone().with_objects(&bytes);
            request = read.with_context(|| format!("--data {data:?}"))?;
        }
        let given = match (request.get(tag!(0x5A)), request.get(tag!(0x57))) {
            (Some(account), _) => Some(digits("5A", account, 'f')?),
            (None, Some(stripe)) => Some(digits("57", stripe, 'd')?),
            (None, None) => None,
        };
        let account =
            self.account.clone().or(given).context(
                "whose card is it? neither 5A nor 57 is among the data; --account says it",
            )?;
        let sequence = match request.get(tag!(0x5F34)) {
            Some(&[byte]) if byte >> 4 < 10 && byte & 0x0F < 10 => {
                Some((byte >> 4) * 10 + (byte & 0x0F))
            }
            Some(other) => bail!("5F34 {}: expected two digits", hex::encode_upper(other)),
            None => None,
        };
        let sequence = self
            .sequence
            .or(sequence)
            .context("which card of the account? 5F34 is not among the data; --sequence says it")?;
        request.account = account;
        request.sequence = sequence;
        request.pin.clone_from(&self.pin);
        Ok(request)
    }

    /// The bank with the account as it is said to be.
    fn bank(&self, request: &Request) -> anyhow::Result<Host> {
        let profile = card::load(&self.profile)?;
        let algorithm = request.issuer_data()?.algorithm;
        let mut bank = match &profile.bank {
            Some(side) => side.host(self.seed),
            None => Host::from_seed(self.seed),
        };
        if let Some(masters) = &self.masters {
            let accounts = bank.account(&request.account).cloned();
            let mut both = bank.masters().clone();
            let set = key_set("--masters", masters, algorithm)?;
            match algorithm {
                Algorithm::Des => both.des = set,
                Algorithm::Sm4 => both.sm4 = set,
            }
            bank = Host::new(both);
            if let Some(account) = accounts {
                bank.open(&request.account, account);
            }
        }
        if let Some(given) = &self.card_keys {
            const NAME: &str = "--card-keys";
            let keys = match &given[..] {
                [alone] => CardKeys::Cryptograms(key(NAME, 1, alone, algorithm)?),
                _ => CardKeys::Whole(key_set(NAME, given, algorithm)?),
            };
            bank.know_card(&request.account, request.sequence, keys);
        }
        if let Some(balance) = self.balance {
            match bank.account_mut(&request.account) {
                Some(account) => account.balance = balance,
                None => bank.open(&request.account, Account::of(balance)),
            }
        }
        if let Some(account) = bank.account_mut(&request.account) {
            account.state = match self.state {
                Became::Active => State::Active,
                Became::Inactive => State::Inactive,
                Became::Lost => State::Lost,
                Became::Stolen => State::Stolen,
                Became::Closed => State::Closed,
            };
        }
        Ok(bank)
    }

    /// Whose card it is, and what it says.
    fn tell_card(
        &self,
        out: &mut dyn Write,
        request: &Request,
        issuer: &IssuerData,
        proven: Result<(), Reason>,
    ) -> anyhow::Result<()> {
        let (atc, cryptogram) = request.transaction()?;
        let keys = match (&self.masters, &self.card_keys) {
            (_, Some(_)) => "the card's by --card-keys".to_owned(),
            (Some(_), None) => "masters from --masters; of the card by the last 16 digits of \
                                account and sequence"
                .to_owned(),
            (None, None) => format!(
                "masters from the test root of seed {}; of the card by the last 16 digits of \
                 account and sequence",
                self.seed
            ),
        };
        writeln!(
            out,
            "card 卡片 {}, sequence 序列号 {:02}",
            request.account, request.sequence
        )?;
        writeln!(
            out,
            "keys 密钥: {keys}; of the session by the counter {atc:04X} and its complement \
             {:04X}",
            !atc
        )?;
        let right = match proven {
            Ok(()) => "right 正确".to_owned(),
            Err(reason) => format!("not ours 不符: {} {}", reason.words(), reason.words_zh()),
        };
        writeln!(
            out,
            "cryptogram 应用密文 {}: {right}",
            hex::encode_upper(cryptogram)
        )?;
        let [a, b, c] = issuer.cvr.0;
        writeln!(out, "CVR 卡片验证结果 03{a:02X}{b:02X}{c:02X}")?;
        let first = match issuer.cvr.first_answer() {
            0 => "the first cryptogram declines 首次应用密文AAC",
            1 => "the first cryptogram approves 首次应用密文TC",
            _ => "the first cryptogram asks the bank 首次应用密文ARQC",
        };
        writeln!(out, "  {first}")?;
        for (en, zh) in issuer.cvr.words() {
            writeln!(out, "  {en} {zh}")?;
        }
        if issuer.cvr.scripts() > 0 {
            let count = issuer.cvr.scripts();
            writeln!(
                out,
                "  {count} script commands last time 上次交易脚本命令数 {count}"
            )?;
        }
        writeln!(
            out,
            "IAD 发卡行应用数据: key index 密钥索引 {:02X}, cryptogram version 密文版本 01, \
             algorithm 算法 {}",
            issuer.key_index,
            match issuer.algorithm {
                Algorithm::Des => "3DES",
                Algorithm::Sm4 => "SM4 (experimental 试验性)",
            }
        )?;
        if let Some((id, value, mac)) = &issuer.discretionary {
            let words = match (id, issuer.cash_balance()) {
                (0x01, Some(balance)) => format!("e-cash balance 电子现金余额 {balance}"),
                _ => hex::encode_upper(value),
            };
            let mac = hex::encode_upper(mac);
            let unchecked = match self.card_keys.as_ref().map(Vec::len) {
                Some(1) => " not checked 未校验",
                _ => "",
            };
            writeln!(out, "  {id:02X} {words}, MAC {mac}{unchecked}")?;
        }
        Ok(())
    }

    /// The commands that are asked for, after those of the decision.
    fn commands(
        &self,
        bank: &Host,
        request: &Request,
        issuer: &IssuerData,
        decision: &Decision,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut commands = decision.scripts.clone();
        if self.script.is_empty() {
            return Ok(commands);
        }
        let scripts = bank.scripts(request)?;
        let scripts =
            scripts.context("a script takes the card's keys for MACs and enciphering, too")?;
        for script in &self.script {
            commands.push(command(script, &scripts, issuer)?);
        }
        Ok(commands)
    }
}

fn command(script: &Script, scripts: &Scripts, issuer: &IssuerData) -> anyhow::Result<Vec<u8>> {
    Ok(match script {
        Script::Block => scripts.block_application(),
        Script::Unblock => scripts.unblock_application(),
        Script::CardBlock => scripts.block_card(),
        Script::UnblockPin => scripts.unblock_pin(),
        Script::ChangePin(pin) => scripts
            .change_pin(pin, None)
            .context("a PIN has 4 to 12 digits")?,
        Script::Load(amount) => {
            let held = issuer.cash_balance().context(
                "what is in the electronic cash? 9F10 does not carry its balance, and a load \
                 writes the new one: put=9F79=000000005000 says it",
            )?;
            let after = held
                .checked_add(*amount)
                .context("more than can be counted")?;
            scripts.load(after)
        }
        Script::Put(tag, value) => scripts.put_data(*tag, value),
        Script::Record(sfi, number, record) => scripts.update_record(*sfi, *number, record),
    })
}

fn tell_decision(
    out: &mut dyn Write,
    bank: &Host,
    request: &Request,
    decision: &Decision,
) -> anyhow::Result<()> {
    let amount = request.get(tag!(0x9F02)).and_then(fen_of);
    let amount = amount.map_or_else(String::new, |fen| format!(" {fen}"));
    let [a, b] = decision.code().map(char::from);
    writeln!(
        out,
        "decision 授权{amount}: {a}{b} {} {}",
        decision.reason.words(),
        decision.reason.words_zh()
    )?;
    if let Some(account) = bank.account(&request.account) {
        writeln!(out, "balance 账户余额 {}", account.balance)?;
    }
    writeln!(out, "8A02{}", hex::encode_upper(decision.code()))?;
    match decision.authentication_data() {
        Some(data) => {
            let (arpc, _) = data.split_at(8);
            writeln!(
                out,
                "ARPC {}: the cryptogram with the code, under the session key 过程密钥加密",
                hex::encode_upper(arpc)
            )?;
            writeln!(out, "910A{}", hex::encode_upper(data))?;
            writeln!(
                out,
                "  EXTERNAL AUTHENTICATE 008200000A{}",
                hex::encode_upper(data)
            )?;
        }
        None => writeln!(
            out,
            "ARPC none 无: only our own card's question is answered"
        )?,
    }
    Ok(())
}

/// Hex with blanks; the first character that is none is told.
fn bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut digits = String::new();
    for (at, c) in (1..).zip(text.chars()) {
        match c {
            ' ' | ':' => {}
            c if c.is_ascii_hexdigit() => digits.push(c),
            c => bail!("character {at}, {c:?}: expected hex digits in pairs"),
        }
    }
    match hex::decode(&digits) {
        Ok(bytes) => Ok(bytes),
        Err(_) => bail!("{} hex digits: expected pairs", digits.len()),
    }
}

/// The digits of a value before a mark that ends them.
fn digits(name: &str, value: &[u8], end: char) -> anyhow::Result<String> {
    let text = hex::encode(value);
    let account = text.split(end).next().unwrap_or_default();
    if (12..=19).contains(&account.len()) && account.bytes().all(|c| c.is_ascii_digit()) {
        return Ok(account.to_owned());
    }
    let at = account.bytes().position(|c| !c.is_ascii_digit());
    let at = at.unwrap_or(account.len()) / 2 + 1;
    bail!(
        "{name} {}: byte {at}: expected an account number of 12 to 19 digits{}",
        text.to_uppercase(),
        if end == 'd' { " before D" } else { "" }
    )
}

/// One key of an option that takes them.
fn key(option: &str, number: usize, text: &str, algorithm: Algorithm) -> anyhow::Result<Key> {
    let bytes = bytes(text).with_context(|| format!("{option}, key {number}"))?;
    let bytes = bytes
        .try_into()
        .map_err(|_| anyhow::anyhow!("{option}, key {number}: expected 16 bytes"))?;
    Ok(match algorithm {
        Algorithm::Des => Key::triple_des(bytes),
        Algorithm::Sm4 => Key::sm4(bytes),
    })
}

/// Three keys.
fn key_set(option: &str, given: &[String], algorithm: Algorithm) -> anyhow::Result<KeySet> {
    let [cryptograms, macs, enciphering] = given else {
        bail!(
            "{option}: {} keys, expected three, for cryptograms, MACs and enciphering",
            given.len()
        );
    };
    Ok(KeySet {
        cryptograms: key(option, 1, cryptograms, algorithm)?,
        macs: key(option, 2, macs, algorithm)?,
        enciphering: key(option, 3, enciphering, algorithm)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Script, bytes, digits, script};
    use cardlab::fen::Fen;

    #[test]
    fn a_script_is_a_word_and_what_it_takes() {
        for (text, expected) in [
            ("block", Script::Block),
            ("unblock", Script::Unblock),
            ("card-block", Script::CardBlock),
            ("unblock-pin", Script::UnblockPin),
            ("change-pin=1234", Script::ChangePin("1234".to_owned())),
            ("change-pin 1234", Script::ChangePin("1234".to_owned())),
            ("load=50.00", Script::Load(Fen::new(5_000))),
            ("put=9F58=05", Script::Put(0x9F58, vec![5])),
            ("put 9F58:05", Script::Put(0x9F58, vec![5])),
            ("record=1.2=7000", Script::Record(1, 2, vec![0x70, 0])),
        ] {
            assert_eq!(script(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "blocks",
            "block=1",
            "change-pin",
            "change-pin=123",
            "change-pin=12a4",
            "load",
            "load=x",
            "put=9F58",
            "put=9F58=0",
            "put=58=05",
            "record",
            "record=1=7000",
            "record=0.1=7000",
            "record=31.1=7000",
            "record=1.0=7000",
            "record=1.256=7000",
            "record=1.1=",
            "record=1.1=7",
        ] {
            assert!(script(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_hex_is_told_with_its_character() {
        assert_eq!(bytes("9F 02:06").unwrap(), [0x9F, 0x02, 0x06]);
        let says = |text| bytes(text).unwrap_err().to_string();
        assert_eq!(
            says("9F0x"),
            "character 4, 'x': expected hex digits in pairs"
        );
        assert_eq!(says("9F0"), "3 hex digits: expected pairs");
    }

    #[test]
    fn an_account_is_read_out_of_its_element_and_out_of_the_stripe() {
        let read = |name, text, end| digits(name, &hex::decode(text).unwrap(), end);
        let account = "6228004116000202649";
        assert_eq!(read("5A", "6228004116000202649F", 'f').unwrap(), account);
        assert_eq!(
            read("57", "6228004116000202649D34062010000000", 'd').unwrap(),
            account
        );
        let says = read("5A", "62280041A6000202", 'f').unwrap_err().to_string();
        assert!(says.contains("byte 5"), "{says}");
    }
}
