//! The decision by terminal, card and host, its scripts, and the end.
//!
//! ```text
//! findings & codes ─► first cryptogram ─TC, AAC─► the end
//!                        └─ARQC─► host ─► issuer authentication, scripts '71'
//!                                   └─► second cryptogram ─► scripts '72' ─► the end
//! ```
//!
//! Source: EMV 4.4 book 3, 10.7 to 10.11 and annex E (scripts); book 4, 6.3.5 to 6.3.9
//! and annex A6 (response codes); book 2, 6.6 (combined authentication).

use super::elements::digits;
use super::host::{Answer, Host};
use super::{Accepted, Cryptogram, End, Finding, Kernel, Phase, Tsi, Why};
use crate::bank::host::{Request, TYPE_CASH_LOAD};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::Algorithm;
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{DataObject, Objects, Tag, find};

/// Approved and declined off line; the same where the host could not be reached.
const OFFLINE_APPROVED: [u8; 2] = *b"Y1";
const OFFLINE_DECLINED: [u8; 2] = *b"Z1";
const UNABLE_APPROVED: [u8; 2] = *b"Y3";
const UNABLE_DECLINED: [u8; 2] = *b"Z3";
/// The response codes of a host that approves.
const APPROVALS: [[u8; 2]; 3] = [*b"00", *b"10", *b"11"];

/// What a cryptogram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Declines = 0x00,
    Asks = 0x80,
    Approves = 0x40,
}

impl Kind {
    const fn of(information: u8) -> Option<Kind> {
        Some(match information >> 6 {
            0 => Kind::Declines,
            1 => Kind::Approves,
            2 => Kind::Asks,
            _ => return None,
        })
    }

    /// How much the card gives away with it.
    const fn rank(self) -> u8 {
        match self {
            Kind::Declines => 0,
            Kind::Asks => 1,
            Kind::Approves => 2,
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Declines => ("AAC, a decline", "AAC（拒绝）"),
            Kind::Asks => ("ARQC, a question to the bank", "ARQC（请求联机）"),
            Kind::Approves => ("TC, an approval", "TC（批准）"),
        }
    }
}

/// Action codes of the card and of the terminal together.
fn together(card: Option<[u8; 5]>, without: u8, terminal: [u8; 5]) -> [u8; 5] {
    let card = card.unwrap_or([without; 5]);
    std::array::from_fn(|byte| card[byte] | terminal[byte])
}

impl Kernel<'_> {
    /// Lets terminal, card and host decide, and completes the transaction.
    pub(super) fn decide(&mut self, host: &mut dyn Host) -> Result<End, Why> {
        let mut asked = self.analyse();
        if asked == Kind::Approves && self.runs_low()? {
            asked = Kind::Asks;
        }
        let (kind, stands) = self.generate(asked, tag!(0x8C))?;
        self.tsi.did(Tsi::CARD_RISK);
        let online = match (kind, stands) {
            (Kind::Asks, true) => true,
            // What the card signed does not stand: it is to end this, and nobody is asked.
            (Kind::Asks, false) => {
                self.put_code(OFFLINE_DECLINED);
                self.generate(Kind::Declines, tag!(0x8D))?;
                return Ok(End::Declined { online: false });
            }
            (Kind::Approves, true) => {
                self.put_code(OFFLINE_APPROVED);
                self.read_balance()?;
                return Ok(End::Approved { online: false });
            }
            (Kind::Approves, false) | (Kind::Declines, _) => {
                self.put_code(OFFLINE_DECLINED);
                return Ok(End::Declined { online: false });
            }
        };
        let answer = if online && self.terminal.can_go_online() {
            self.ask(host)
        } else {
            None
        };
        match answer {
            Some(answer) => self.complete(answer),
            None => self.complete_alone(),
        }
    }

    /// The terminal's own decision.
    fn analyse(&mut self) -> Kind {
        const PHASE: Phase = Phase::Terminal;
        let codes = |of: fn(&Accepted) -> [u8; 5]| self.accepted.map_or([0; 5], of);
        let card = |tag| self.elements.array(tag);
        let denial = together(card(tag!(0x9F0E)), 0x00, codes(|a| a.denial));
        let online = together(card(tag!(0x9F0F)), 0xFF, codes(|a| a.online));
        let default = self.default_codes();
        if self.hits(denial, ("a finding declines", "按拒绝代码拒绝")) {
            return Kind::Declines;
        }
        if self.terminal.is_online_only() {
            self.say(
                PHASE,
                "this terminal always asks the bank",
                "仅联机终端，请求联机",
            );
            return Kind::Asks;
        }
        if self.terminal.can_go_online() {
            if self.hits(online, ("a finding asks the bank", "按联机代码请求联机")) {
                return Kind::Asks;
            }
        } else if self.hits(
            default,
            (
                "there is no line, and a finding declines",
                "终端无联机能力，按缺省代码拒绝",
            ),
        ) {
            return Kind::Declines;
        }
        self.say(
            PHASE,
            format!(
                "nothing in TVR {} speaks against an approval off line",
                self.tvr
            ),
            format!("TVR {} 与行为代码无匹配，请求脱机批准", self.tvr),
        );
        Kind::Approves
    }

    fn default_codes(&self) -> [u8; 5] {
        let own = self.accepted.map_or([0; 5], |accepted| accepted.default);
        together(self.elements.array(tag!(0x9F0D)), 0xFF, own)
    }

    /// Whether findings are among the codes; they are told.
    fn hits(&mut self, codes: [u8; 5], (en, zh): (&str, &str)) -> bool {
        let hit: Vec<Finding> = self.tvr.findings(codes).collect();
        if hit.is_empty() {
            return false;
        }
        let words: Vec<_> = hit.iter().map(|finding| finding.words()).collect();
        let (in_en, in_zh): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        self.say(
            Phase::Terminal,
            format!("{en}: {}", in_en.join("; ")),
            format!("{zh}：{}", in_zh.join("；")),
        );
        true
    }

    /// Whether electronic cash falls below the threshold that asks for the bank.
    fn runs_low(&mut self) -> Result<bool, Why> {
        if !self.cash || !self.terminal.can_go_online() {
            return Ok(false);
        }
        let threshold = self.amount_of(tag!(0x9F6D))?.unwrap_or(Fen::ZERO);
        let balance = self.balance.unwrap_or(Fen::ZERO);
        let left = balance.checked_sub(self.sale.amount);
        if left.is_some_and(|left| left >= threshold) {
            return Ok(false);
        }
        self.say(
            Phase::Terminal,
            format!("electronic cash would fall below {threshold}: the bank is asked"),
            format!("电子现金余额将低于重置阈值{threshold}，请求联机"),
        );
        self.take_online_pin();
        Ok(true)
    }

    /// GENERATE AC; what the card answered, and whether its signature stands where one
    /// was asked for.
    fn generate(&mut self, asked: Kind, list: Tag) -> Result<(Kind, bool), Why> {
        const NAME: &str = "GENERATE AC";
        let (tvr, tsi) = (self.tvr, self.tsi);
        self.elements.put(tag!(0x95), &tvr.0);
        self.elements.put(tag!(0x9B), &tsi.0);
        let second = list == tag!(0x8D);
        let list = self.elements.get(list).unwrap_or_default().to_vec();
        let name = if second { "the CDOL2" } else { "the CDOL1" };
        let data = self.elements.fill(&list, name)?;
        let signed = self.combined && asked != Kind::Declines;
        let p1 = asked as u8 | if signed { 0x10 } else { 0x00 };
        let class = Class::new(0x80).ok_or(Why::Malformed(NAME))?;
        let command = Command::new(class, 0xAE, p1, 0x00).with_data(&data);
        let answer = self.send(&command.expecting(256))?;
        if answer.sw != Sw::OK {
            return Err(Why::Refused(NAME, answer.sw));
        }
        let template = only_object(&answer.data).ok_or(Why::Malformed(NAME))?;
        let (mut made, has_own) = read_cryptogram(&template).ok_or(Why::Malformed(NAME))?;
        let kind = Kind::of(made.information).ok_or(Why::Malformed(NAME))?;
        let (en, zh) = asked.words();
        let (given_en, given_zh) = kind.words();
        let by = match made.issuer().map(|issuer| issuer.algorithm) {
            Some(Algorithm::Sm4) => (", by SM4", "，SM4算法"),
            _ => ("", ""),
        };
        self.say(
            Phase::Card,
            format!("asked for {en}; the card answers {given_en}{}", by.0),
            format!("终端请求{zh}，卡片返回{given_zh}{}", by.1),
        );
        if kind.rank() > asked.rank() || second && kind == Kind::Asks {
            return Err(Why::WrongCryptogram);
        }
        let mut stands = true;
        if signed && kind != Kind::Declines {
            let own = std::mem::take(&mut self.cdol1);
            let lists: [&[u8]; 3] = if second {
                [&self.options, &own, &data]
            } else {
                [&self.options, &data, &[]]
            };
            let response = match template.tag == tag!(0x77) {
                true => template.value,
                false => &[],
            };
            let opened = self.open_combined(response, &lists);
            self.cdol1 = own;
            self.tsi.did(Tsi::AUTHENTICATION);
            match opened {
                Ok(signed) if signed.information == made.information => {
                    made.cryptogram = signed.cryptogram;
                    let (en, zh) = self.by();
                    self.say(
                        Phase::Authentication,
                        format!("the card signed this cryptogram (CDA{en})"),
                        format!("复合动态数据认证通过（CDA{zh}）"),
                    );
                }
                Ok(_) => {
                    let words = ("the card signed another answer", "签名中的密文类型不符");
                    self.fails(Finding::CombinedFailed, words);
                    stands = false;
                }
                Err(words) => {
                    self.fails(Finding::CombinedFailed, words);
                    stands = false;
                }
            }
        } else if !has_own {
            return Err(Why::Malformed(NAME));
        }
        self.elements.put(tag!(0x9F27), &[made.information]);
        self.elements.put(tag!(0x9F36), &made.atc.to_be_bytes());
        self.elements.put(tag!(0x9F26), &made.cryptogram);
        self.elements.put(tag!(0x9F10), &made.issuer_data);
        self.tell_results(&made);
        let not_allowed = kind == Kind::Declines && made.information & 0x07 == 0x01;
        if second {
            self.second = Some(made);
        } else {
            self.cdol1 = data;
            self.first = Some(made);
        }
        if not_allowed {
            return Err(Why::NotAllowed);
        }
        Ok((kind, stands))
    }

    /// Tells the card's reasons.
    fn tell_results(&mut self, made: &Cryptogram) {
        let Some(issuer) = made.issuer() else {
            return;
        };
        let (en, zh): (Vec<_>, Vec<_>) = issuer.cvr.words().unzip();
        if !en.is_empty() {
            self.say(
                Phase::Card,
                format!("the card says: {}", en.join("; ")),
                format!("卡片验证结果：{}", zh.join("；")),
            );
        }
    }

    /// What the host is asked.
    fn request(&self) -> Request {
        const TAGS: [Tag; 22] = [
            tag!(0x5A),
            tag!(0x5F34),
            tag!(0x82),
            tag!(0x84),
            tag!(0x95),
            tag!(0x9A),
            tag!(0x9B),
            tag!(0x9C),
            tag!(0x5F2A),
            tag!(0x9F02),
            tag!(0x9F03),
            tag!(0x9F09),
            tag!(0x9F10),
            tag!(0x9F1A),
            tag!(0x9F1E),
            tag!(0x9F26),
            tag!(0x9F27),
            tag!(0x9F33),
            tag!(0x9F34),
            tag!(0x9F35),
            tag!(0x9F36),
            tag!(0x9F37),
        ];
        let account = digits(self.elements.get(tag!(0x5A)).unwrap_or_default());
        let [sequence] = self.elements.of_len(tag!(0x5F34));
        let mut request = Request::of(&account, (sequence >> 4) * 10 + (sequence & 0x0F));
        for tag in TAGS {
            if let Some(value) = self.elements.get(tag) {
                request = request.with(tag, value);
            }
        }
        request.pin = self.online_pin.map(str::to_owned);
        request
    }

    pub(super) fn prepare_request(&mut self) -> Request {
        let request = self.request();
        self.asked = Some(request.clone());
        request
    }

    fn ask(&mut self, host: &mut dyn Host) -> Option<Answer> {
        let request = self.prepare_request();
        let pin = if request.pin.is_some() {
            (" and a PIN", "和联机PIN")
        } else {
            ("", "")
        };
        self.say(
            Phase::Host,
            format!("the bank is asked, with the cryptogram{}", pin.0),
            format!("向发卡行发送授权请求（含应用密文{}）", pin.1),
        );
        let answer = host.authorise(&request);
        match &answer {
            Some(answer) => {
                let code = String::from_utf8_lossy(&answer.code).into_owned();
                let (en, zh) = (answer.words.clone(), answer.words_zh.clone());
                self.say(
                    Phase::Host,
                    format!("it answers {code}: {en}"),
                    format!("发卡行应答{code}：{zh}"),
                );
            }
            None => self.say(Phase::Host, "it cannot be reached", "无法联机"),
        }
        answer
    }

    fn put_code(&mut self, code: [u8; 2]) {
        self.elements.put(tag!(0x8A), &code);
    }

    /// The end where the host answered.
    fn complete(&mut self, answer: Answer) -> Result<End, Why> {
        let approves = APPROVALS.contains(&answer.code);
        self.put_code(answer.code);
        self.answered = Some(answer.clone());
        if let Some(data) = &answer.authentication {
            self.elements.put(tag!(0x91), data);
            self.authenticate_issuer(data)?;
        }
        let before = self.run_scripts(&answer.scripts, tag!(0x71))?;
        if !before {
            self.find(Phase::Scripts, Finding::ScriptFailedBefore);
        }
        let asked = if approves {
            Kind::Approves
        } else {
            Kind::Declines
        };
        let (kind, stands) = self.generate(asked, tag!(0x8D))?;
        let after = self.run_scripts(&answer.scripts, tag!(0x72))?;
        if !after {
            self.find(Phase::Scripts, Finding::ScriptFailedAfter);
        }
        if self.cash || self.sale.kind == TYPE_CASH_LOAD {
            self.read_balance()?;
        }
        Ok(match kind {
            Kind::Approves if stands => End::Approved { online: true },
            _ => End::Declined { online: true },
        })
    }

    /// The end where nobody answered.
    fn complete_alone(&mut self) -> Result<End, Why> {
        let codes = self.default_codes();
        let words = (
            "the bank is not reached, and a finding declines",
            "无法联机，按缺省代码拒绝",
        );
        let mut declines = self.hits(codes, words);
        if self.terminal.is_online_only() {
            declines = true;
            self.say(
                Phase::Terminal,
                "this terminal approves nothing without the bank",
                "仅联机终端，无法联机则拒绝",
            );
        } else if !declines {
            self.say(
                Phase::Terminal,
                "the bank is not reached, and nothing speaks against an approval",
                "无法联机，缺省代码无匹配，请求脱机批准",
            );
        }
        let (asked, code) = if declines {
            (Kind::Declines, UNABLE_DECLINED)
        } else {
            (Kind::Approves, UNABLE_APPROVED)
        };
        self.put_code(code);
        let (kind, stands) = self.generate(asked, tag!(0x8D))?;
        if self.cash {
            self.read_balance()?;
        }
        Ok(match kind {
            Kind::Approves if stands => End::Approved { online: false },
            _ => End::Declined { online: false },
        })
    }

    fn authenticate_issuer(&mut self, data: &[u8]) -> Result<(), Why> {
        if !self.profile_has(0, 0x04) {
            return Ok(());
        }
        self.tsi.did(Tsi::ISSUER);
        let command = Command::new(Class::BASIC, 0x82, 0x00, 0x00).with_data(data);
        if self.send(&command)?.sw == Sw::OK {
            self.say(
                Phase::Host,
                "the card knows its bank by the answer (ARPC)",
                "发卡行认证通过（ARPC）",
            );
        } else {
            self.find(Phase::Host, Finding::IssuerFailed);
        }
        Ok(())
    }

    /// Sends the commands of the templates with this tag; whether all were taken.
    fn run_scripts(&mut self, templates: &[u8], tag: Tag) -> Result<bool, Why> {
        let mut all = true;
        for template in Objects::new(templates) {
            let Ok(template) = template else {
                return Ok(false);
            };
            if template.tag != tag {
                continue;
            }
            self.tsi.did(Tsi::SCRIPTS);
            let mut identifier = [0; 4];
            let mut failed = None;
            let mut sent = 0u8;
            for object in template.objects() {
                let Ok(DataObject { tag, value }) = object else {
                    failed = Some(sent);
                    break;
                };
                match tag.value() {
                    0x9F18 => identifier = value.try_into().unwrap_or([0; 4]),
                    0x86 if failed.is_none() => {
                        sent = sent.saturating_add(1);
                        if !self.run_command(value)? {
                            failed = Some(sent);
                        }
                    }
                    _ => {}
                }
            }
            let result = failed.map_or(0x20, |at| 0x10 | at.min(0x0F));
            let [a, b, c, d] = identifier;
            self.scripts.push([result, a, b, c, d]);
            all &= failed.is_none();
        }
        Ok(all)
    }

    /// Sends one command of a script; whether the card took it.
    pub(super) fn run_command(&mut self, bytes: &[u8]) -> Result<bool, Why> {
        let Ok(command) = Command::parse(bytes) else {
            return Ok(false);
        };
        let sw = self.send(&command)?.sw;
        let taken = matches!(sw.sw1(), 0x90 | 0x62 | 0x63);
        let (name, name_zh) = match command.ins {
            0x1E => ("block the application", "应用锁定"),
            0x18 => ("unblock the application", "应用解锁"),
            0x16 => ("block the card", "卡片锁定"),
            0x24 => ("change or unblock the PIN", "PIN修改/解锁"),
            0xDA if bytes.get(2..4) == Some(&[0x9F, 0x79]) => {
                ("load electronic cash", "电子现金圈存")
            }
            0xDA => ("write a data element", "设置数据"),
            0xDC => ("write a record", "修改记录"),
            _ => ("a command", "命令"),
        };
        let (en, zh) = if taken {
            ("done", "成功")
        } else {
            ("refused", "失败")
        };
        self.say(
            Phase::Scripts,
            format!("the bank's command to {name}: {en}, {sw}"),
            format!("发卡行脚本命令“{name_zh}”：{zh}（{sw}）"),
        );
        Ok(taken)
    }

    fn read_balance(&mut self) -> Result<(), Why> {
        if !self.cash && self.sale.kind != TYPE_CASH_LOAD {
            return Ok(());
        }
        self.balance = self.amount_of(tag!(0x9F79))?;
        if let Some(balance) = self.balance {
            self.say(
                Phase::End,
                format!("electronic cash holds {balance} now"),
                format!("电子现金余额{balance}"),
            );
        }
        Ok(())
    }

    /// A first cryptogram that declines, which only serves to prove the card.
    pub(super) fn prove(&mut self) -> Result<(), Why> {
        self.generate(Kind::Declines, tag!(0x8C)).map(|_| ())
    }
}

/// The object that an answer is: beside one that is signed, nothing else may be read.
fn only_object(data: &[u8]) -> Option<DataObject<'_>> {
    let mut objects = Objects::new(data);
    let first = objects.next()?.ok()?;
    objects.next().is_none().then_some(first)
}

/// The cryptogram in an answer, and whether it stands there in the clear.
fn read_cryptogram(template: &DataObject<'_>) -> Option<(Cryptogram, bool)> {
    if template.tag == tag!(0x80) {
        let (&[information], rest) = template.value.split_first_chunk()?;
        let (atc, rest) = rest.split_first_chunk()?;
        let (cryptogram, issuer_data) = rest.split_first_chunk()?;
        let made = Cryptogram {
            information,
            atc: u16::from_be_bytes(*atc),
            cryptogram: *cryptogram,
            issuer_data: issuer_data.to_vec(),
        };
        return Some((made, true));
    }
    if template.tag != tag!(0x77) {
        return None;
    }
    let of = |tag| find(template.value, &[tag]).ok().flatten();
    let &[information] = of(tag!(0x9F27))? else {
        return None;
    };
    let cryptogram = of(tag!(0x9F26)).and_then(|bytes| bytes.try_into().ok());
    let made = Cryptogram {
        information,
        atc: u16::from_be_bytes(of(tag!(0x9F36))?.try_into().ok()?),
        cryptogram: cryptogram.unwrap_or_default(),
        issuer_data: of(tag!(0x9F10)).unwrap_or_default().to_vec(),
    };
    Some((made, cryptogram.is_some()))
}
