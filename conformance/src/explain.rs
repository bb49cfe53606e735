//! A case in words, English and Chinese, for people who will not read JSON.
//!
//! Says what will be done and what must come; it does not run anything.

use crate::bank::step::{Ask, BankVerify, Issuer, Options, Sums, Told};
use crate::case::{
    Action, Authenticate, Case, Cells, CertificateCheck, Credit, Debit, Function, InitLoad,
    InitPurchase, KeyPair, ModuleKind, PowerStep, Pull, Safety, Secured, Step, TerminalStep, Torn,
    UnlockBy, Weight, Whose,
};
use crate::expect::Expect;
use std::fmt::{self, Display, Write as _};

/// The case as a text of some lines, ended by a line feed.
#[must_use]
pub fn explain(case: &Case) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(case, &mut text);
    text
}

fn write(case: &Case, text: &mut String) -> fmt::Result {
    writeln!(text, "{}", case.id)?;
    writeln!(text, "  {}", case.says.en)?;
    writeln!(text, "  {}", case.says.zh)?;
    let mut fact = |en: &str, zh: &str, what: &str| match what {
        "" => Ok(()),
        what => writeln!(text, "  {en} {zh}: {what}"),
    };
    fact("source", "依据", &case.source.join("; "))?;
    fact("requirements", "需求", &case.requirements.join(" "))?;
    fact(
        "LD/T 6001.3 item",
        "检测项目",
        case.group.as_deref().unwrap_or_default(),
    )?;
    fact("weight", "级别", weight(case.weight))?;
    fact("safety", "安全类别", safety(case.safety))?;
    let needs: Vec<String> = case.needs.iter().cloned().map(String::from).collect();
    fact("builds on", "前提用例", &case.after.join(" "))?;
    fact("only on a card with", "适用条件", &needs.join(", "))?;
    let application = case.application.as_ref().map(serde_json::to_string);
    let application = application.transpose().map_err(|_| fmt::Error)?;
    fact(
        "on a card whose bank application has",
        "金融应用个人化",
        &application.unwrap_or_default(),
    )?;
    for (number, step) in (1..).zip(&case.steps) {
        write_step(number, step, text)?;
    }
    Ok(())
}

fn write_step(number: usize, step: &Step, text: &mut String) -> fmt::Result {
    let (en, zh) = action(&step.action);
    writeln!(text, "  {number:>3}. {}", step.label)?;
    writeln!(text, "       {en}")?;
    writeln!(text, "       {zh}")?;
    match step.torn {
        Torn::Nowhere => {}
        Torn::InStep => writeln!(
            text,
            "       power cut at each write in turn 在每次写入时断电"
        )?,
        Torn::InRecovery => writeln!(
            text,
            "       power cut at each write in turn, and at each of the recovery \
             在每次写入时断电，恢复时再断电"
        )?,
    }
    if let Some(cells) = step.worn {
        let (en, zh) = match cells {
            Cells::Stuck => ("stuck", "数据不再变化"),
            Cells::Lost => ("lost", "数据丢失"),
        };
        writeln!(
            text,
            "       cells worn out at each write in turn, {en} 在每次写入时存储单元损坏（{zh}）"
        )?;
    }
    if let Some(expect) = &step.expect {
        writeln!(text, "       must answer 应答  {}", Worded(expect))?;
    }
    if let Some(accept) = &step.accept {
        writeln!(
            text,
            "       or, with a note 亦可（注明）  {}",
            Worded(accept)
        )?;
    }
    if let Some(sometimes) = &step.sometimes {
        writeln!(text, "       at least once 至少一次  {}", Worded(sometimes))?;
    }
    if let Some(returns) = &step.returns {
        writeln!(text, "       must return 返回值  {returns}")?;
    }
    if let Some(gives) = &step.gives {
        writeln!(text, "       and give 输出  {gives}")?;
    }
    for (path, value) in &step.objects {
        writeln!(text, "       with object 数据对象  {path} = {value}")?;
    }
    if let Some(cid) = &step.cid {
        writeln!(text, "       with CID 密文信息数据  {cid}")?;
    }
    if let Some(cvr) = &step.cvr {
        writeln!(text, "       with CVR 卡片验证结果  {cvr}")?;
    }
    if let Some(name) = &step.same_as {
        writeln!(text, "       with the same data as 数据同  {name}")?;
    }
    if let Some(name) = &step.differs_from {
        writeln!(text, "       with other data than 数据异于  {name}")?;
    }
    if let Some(name) = &step.save {
        writeln!(text, "       kept as 记为  {name}")?;
    }
    Ok(())
}

/// An expectation with the words of its status words behind it.
pub(crate) struct Worded<'e>(pub(crate) &'e Expect);

impl Display for Worded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut told = Vec::new();
        for sw in self.0.status_words() {
            if let (Some(en), Some(zh)) = (sw.words(), sw.words_zh())
                && !told.contains(&sw)
            {
                let gap = if told.is_empty() { "  (" } else { "; " };
                write!(f, "{gap}{en} {zh}")?;
                told.push(sw);
            }
        }
        f.write_str(if told.is_empty() { "" } else { ")" })
    }
}

fn action(action: &Action) -> (String, String) {
    match action {
        Action::Send(hex) => (format!("send {hex}"), format!("发送 {hex}")),
        Action::Select(label) => (
            format!("select {label}, from SSSE down"),
            format!("自SSSE起选择 {label}"),
        ),
        Action::Verify(pin) => (
            format!("VERIFY with {}", pin_en(pin)),
            format!("VERIFY 校验{}", pin_zh(pin)),
        ),
        Action::Unlock(UnlockBy::Pin) => (
            "VERIFY with the PIN, changed first where the card asks for it".to_owned(),
            "校验密码（卡片要求时先修改初始密码）".to_owned(),
        ),
        Action::ChangePin(change) => (
            format!(
                "CHANGE PIN from {} to {}",
                pin_en(&change.from),
                pin_en(&change.to)
            ),
            format!(
                "CHANGE PIN 由{}改为{}",
                pin_zh(&change.from),
                pin_zh(&change.to)
            ),
        ),
        Action::Authenticate(by) => {
            let (draw_en, draw_zh) = drawn(by.random.is_none());
            (
                format!("{draw_en}EXTERNAL AUTHENTICATION with {}", key_en(by)),
                format!("{draw_zh}用{}作 EXTERNAL AUTHENTICATION", key_zh(by)),
            )
        }
        Action::Internal(by) => (
            format!("INTERNAL AUTHENTICATION, checked with {}", key_en(by)),
            format!("INTERNAL AUTHENTICATION，用{}核对", key_zh(by)),
        ),
        Action::Secured(secured) => {
            let (draw_en, draw_zh) = drawn(secured.random.is_none());
            let (what_en, what_zh) = secured_words(secured);
            (format!("{draw_en}{what_en}"), format!("{draw_zh}{what_zh}"))
        }
        Action::InitLoad(_) | Action::Credit(_) | Action::InitPurchase(_) | Action::Debit(_) => {
            medical_words(action)
        }
        Action::CertificateVerify(_)
        | Action::CertificateChange(_)
        | Action::CertificateSign(_)
        | Action::CertificateDecrypt(_)
        | Action::CertificateCheck(_) => certificate_words(action),
        Action::Options(_)
        | Action::Records(_)
        | Action::StaticData(_)
        | Action::Prove(_)
        | Action::Cryptogram(_)
        | Action::Issuer(_)
        | Action::Script(_)
        | Action::BankVerify(_) => payment_words(action),
        Action::Power(PowerStep::Cycle) => {
            ("power off, power on".to_owned(), "断电后上电".to_owned())
        }
        Action::Power(PowerStep::Reset) => ("warm reset".to_owned(), "热复位".to_owned()),
        Action::Terminal(step) => terminal_words(step),
    }
}

/// The steps of a payment.
fn payment_words(action: &Action) -> (String, String) {
    match action {
        Action::Options(Options { told }) => {
            let (en, zh) = told_words(told);
            (
                format!("GET PROCESSING OPTIONS{en}"),
                format!("GET PROCESSING OPTIONS 取处理选项{zh}"),
            )
        }
        Action::Records(_) => (
            "READ RECORD of all that the locator names".to_owned(),
            "按AFL读取全部记录".to_owned(),
        ),
        Action::StaticData(_) => (
            "check the signed static data, by the chain of certificates".to_owned(),
            "静态数据认证（SDA）".to_owned(),
        ),
        Action::Prove(_) => (
            "INTERNAL AUTHENTICATE, the signature checked".to_owned(),
            "INTERNAL AUTHENTICATE 动态数据认证（DDA）".to_owned(),
        ),
        Action::Cryptogram(step) => {
            let (kind, which) = match step.ask {
                Ask::Aac => ("AAC", "AAC"),
                Ask::Tc => ("TC", "TC"),
                Ask::Arqc => ("ARQC", "ARQC"),
            };
            let (en, zh) = told_words(&step.told);
            let (en_signed, zh_signed) = match step.signed {
                true => (", signed", "，复合签名（CDA）"),
                false => ("", ""),
            };
            match &step.code {
                None => (
                    format!("first GENERATE AC, asks for {kind}{en_signed}{en}"),
                    format!("第一次GENERATE AC，请求{which}{zh_signed}{zh}"),
                ),
                Some(code) => (
                    format!("second GENERATE AC, asks for {kind} with {code}{en_signed}{en}"),
                    format!("第二次GENERATE AC，请求{which}，授权响应码{code}{zh_signed}{zh}"),
                ),
            }
        }
        Action::Issuer(Issuer { code, by, wrong }) => {
            let (en, zh) = spoilt(*wrong);
            let (by_en, by_zh) = by_words(*by);
            (
                format!("EXTERNAL AUTHENTICATE with {code}{by_en}{en}"),
                format!("EXTERNAL AUTHENTICATE 发卡行认证，授权响应码{code}{by_zh}{zh}"),
            )
        }
        Action::Script(step) => {
            let (en, zh) = spoilt(step.wrong);
            let (by_en, by_zh) = by_words(step.by);
            let data = match (&step.data, &step.pin) {
                (_, Some(pin)) => format!(" PIN {pin}"),
                (Some(data), None) => format!(" {data}"),
                (None, None) => String::new(),
            };
            (
                format!(
                    "issuer script {}{data}, with its MAC{by_en}{en}",
                    step.header
                ),
                format!("发卡行脚本 {}{data}，附MAC{by_zh}{zh}", step.header),
            )
        }
        Action::BankVerify(BankVerify { pin, enciphered }) => {
            let (en, zh) = match enciphered {
                true => (", enciphered", "（加密）"),
                false => ("", ""),
            };
            (
                format!("VERIFY of the bank application with {}{en}", pin_en(pin)),
                format!("金融应用VERIFY 校验{}{zh}", pin_zh(pin)),
            )
        }
        _ => (String::new(), String::new()),
    }
}

/// A code with a bit turned in it, where there is one.
fn spoilt(wrong: Option<u8>) -> (&'static str, &'static str) {
    match wrong {
        Some(_) => (", spoilt", "（已篡改）"),
        None => ("", ""),
    }
}

/// By which keys, where a case says so.
fn by_words(by: Option<Sums>) -> (&'static str, &'static str) {
    match by {
        Some(Sums::Des) => (" by triple DES", "（3DES密钥）"),
        Some(Sums::Sm4) => (" by SM4", "（SM4密钥）"),
        None => ("", ""),
    }
}

/// What a terminal tells, where it tells anything new.
fn told_words(told: &Told) -> (String, String) {
    let amount = |amount: &u64| amount.to_string();
    let text = |text: &String| text.clone();
    let said = [
        ("amount", "金额", told.amount.as_ref().map(amount)),
        ("other amount", "其他金额", told.other.as_ref().map(amount)),
        ("e-cash", "电子现金", told.cash.map(|cash| cash.to_string())),
        ("currency", "货币", told.currency.as_ref().map(text)),
        ("country", "国家", told.country.as_ref().map(text)),
        ("TVR", "TVR", told.results.as_ref().map(text)),
        ("kind", "交易类型", told.kind.as_ref().map(text)),
        ("number", "不可预知数", told.number.as_ref().map(text)),
        ("wants SM", "国密算法支持", told.sm.as_ref().map(text)),
    ];
    let (mut en, mut zh) = (String::new(), String::new());
    for (name, name_zh, value) in said {
        if let Some(value) = value {
            en += &format!(", {name} {value}");
            zh += &format!("，{name_zh} {value}");
        }
    }
    (en, zh)
}

/// A function of the terminal, and what the terminal goes by.
fn terminal_words(step: &TerminalStep) -> (String, String) {
    let (mut en, mut zh) = function_words(&step.function);
    if let Some(pin) = &step.pin {
        en += &format!(", the holder keys in {}", pin_en(pin));
        zh += &format!("，持卡人输入{}", pin_zh(pin));
    }
    let lists = [
        (&step.blacklist, "the blacklist", "黑名单"),
        (&step.institutions, "only institutions", "仅受理机构"),
        (&step.classes, "only classes", "仅受理卡类别"),
    ];
    for (list, list_en, list_zh) in lists {
        if !list.is_empty() {
            let list = list.join("; ");
            en += &format!(", {list_en} {list}");
            zh += &format!("，{list_zh} {list}");
        }
    }
    if let Some(today) = &step.today {
        en += &format!(", on {today}");
        zh += &format!("，日期 {today}");
    }
    if let Some(info) = &step.card_info {
        en += &format!(", for the card {info}");
        zh += &format!("，传入卡信息 {info}");
    }
    if step.initial_pin {
        en += ", the initial PIN transacts";
        zh += "，允许初始密码交易";
    }
    match step.pulled {
        Some(Pull::Before) => {
            en += ", the card pulled before the deciding command";
            zh += "，决定性命令到达前拔卡";
        }
        Some(Pull::After) => {
            en += ", the card pulled before it answers the deciding command";
            zh += "，决定性命令应答前拔卡";
        }
        None => {}
    }
    let (module_en, module_zh) = match step.module {
        ModuleKind::Hsm => ("an HSM", "加密机"),
        ModuleKind::Psam => ("a PSAM", "PSAM卡"),
    };
    (
        format!("terminal with {module_en}: {en}"),
        format!("终端（{module_zh}）：{zh}"),
    )
}

fn function_words(function: &Function) -> (String, String) {
    let both = |en: &str, zh: &str| (en.to_owned(), zh.to_owned());
    match function {
        Function::ReadBase(_) => both("iReadCardBas, the base data", "iReadCardBas 读基本信息"),
        Function::Read(read) => {
            let (en, zh) = match read.key {
                true => ("the reading key", "读密钥"),
                false => ("the PIN", "个人密码"),
            };
            let address = &read.address;
            (
                format!("iReadCard {address} by {en}"),
                format!("iReadCard 用{zh}读 {address}"),
            )
        }
        Function::Write(write) => (
            format!("iWriteCard {}", write.data),
            format!("iWriteCard 写 {}", write.data),
        ),
        Function::VerifyPin(pin) => (
            format!("iVerifyPIN with {}", pin_en(&pin.pin)),
            format!("iVerifyPIN 校验{}", pin_zh(&pin.pin)),
        ),
        Function::ChangePin(change) => (
            format!(
                "iChangePIN from {} to {}",
                pin_en(&change.from),
                pin_en(&change.to)
            ),
            format!(
                "iChangePIN 由{}改为{}",
                pin_zh(&change.from),
                pin_zh(&change.to)
            ),
        ),
        Function::ReloadPin(new) => (
            format!("iReloadPIN to {}", pin_en(&new.to)),
            format!("iReloadPIN 重装为{}", pin_zh(&new.to)),
        ),
        Function::UnblockPin(_) => both("iUnblockPIN", "iUnblockPIN 解锁个人密码"),
        Function::Debit(InitPurchase {
            account,
            own,
            pooled,
            ..
        }) => (
            format!(
                "iDoDebit of {account} yuan from the account, {own} from the holder, {pooled} from \
                 the fund"
            ),
            format!("iDoDebit 医疗消费：账户 {account} 元，自付 {own} 元，统筹 {pooled} 元"),
        ),
        Function::Load(InitLoad { fen, .. }) => (
            format!("load of {fen} yuan, with the host"),
            format!("联机账户划入 {fen} 元"),
        ),
        Function::DebitRecords(_) => both(
            "iReadDebitRecord, the details",
            "iReadDebitRecord 读交易明细",
        ),
        Function::Recover(_) => both(
            "the card is put in again and says whether it took the transaction",
            "重新插卡，取交易认证以确认交易结果",
        ),
    }
}

fn drawn(draws: bool) -> (&'static str, &'static str) {
    if draws {
        ("GET CHALLENGE, ", "取随机数，")
    } else {
        ("", "")
    }
}

fn secured_words(secured: &Secured) -> (String, String) {
    let mut en = format!("send {}", secured.header);
    let mut zh = format!("发送 {}", secured.header);
    if let Some(data) = &secured.data {
        en += &format!(", data {data}");
        zh += &format!("，数据 {data}");
    }
    if let Some(pin) = &secured.pin {
        en += &format!(", {} enciphered", pin_en(pin));
        zh += &format!("，加密的{}", pin_zh(pin));
    }
    let (mac_en, mac_zh) = if secured.wrong.is_some() || secured.mac_over.is_some() {
        ("a wrong MAC", "错误的MAC")
    } else {
        ("a MAC", "MAC")
    };
    (
        format!("{en}, {mac_en} by {}", secured.key),
        format!("{zh}，附 {} 计算的{mac_zh}", secured.key),
    )
}

fn medical_words(action: &Action) -> (String, String) {
    let spoilt = |wrong: Option<u8>| match wrong {
        Some(_) => (", its MAC spoilt", "（MAC错误）"),
        None => ("", ""),
    };
    let key = |index: Option<u8>| format!("{:02X}", index.unwrap_or(1));
    let at = |time: &Option<String>| match time {
        Some(time) => (format!(" at {time}"), format!("，时间 {time}")),
        None => Default::default(),
    };
    match action {
        Action::InitLoad(InitLoad { fen, index }) => (
            format!("INITIALIZE FOR LOAD of {fen:#}, key {}", key(*index)),
            format!("账户划入初始化 {fen} 元，密钥索引 {}", key(*index)),
        ),
        Action::Credit(Credit { time, wrong }) => {
            let ((wrong_en, wrong_zh), (en, zh)) = (spoilt(*wrong), at(time));
            (
                format!("CREDIT FOR LOAD{en}, the TAC checked{wrong_en}"),
                format!("圈存{zh}，核对TAC{wrong_zh}"),
            )
        }
        Action::InitPurchase(InitPurchase {
            account,
            own,
            pooled,
            index,
        }) => (
            format!(
                "INITIALIZE FOR PURCHASE of {account:#} from the account, {own:#} from the holder, \
                 {pooled:#} from the fund, key {}",
                key(*index)
            ),
            format!(
                "医疗消费初始化：账户 {account} 元，自付 {own} 元，统筹 {pooled} 元，密钥索引 {}",
                key(*index)
            ),
        ),
        Action::Debit(Debit {
            number,
            time,
            wrong,
        }) => {
            let ((wrong_en, wrong_zh), (en, zh)) = (spoilt(*wrong), at(time));
            let number = number.as_deref().unwrap_or("1");
            (
                format!("DEBIT FOR PURCHASE, number {number}{en}, TAC and MAC2 checked{wrong_en}"),
                format!("医疗消费，终端交易序号 {number}{zh}，核对TAC和MAC2{wrong_zh}"),
            )
        }
        _ => Default::default(),
    }
}

fn certificate_words(action: &Action) -> (String, String) {
    let whose = |who: Whose| match who {
        Whose::User => ("the user", "用户"),
        Whose::Administrator => ("the administrator", "管理员"),
    };
    match action {
        Action::CertificateVerify(by) => {
            let (en, zh) = whose(by.who);
            let (draw_en, draw_zh) = drawn(by.random.is_none());
            let (wrong_en, wrong_zh) = spoilt(by.wrong);
            (
                format!("{draw_en}VERIFY of {en} by {}{wrong_en}", pin_en(&by.pin)),
                format!("{draw_zh}以{}校验{zh}PIN{wrong_zh}", pin_zh(&by.pin)),
            )
        }
        Action::CertificateChange(change) => {
            let ((en, zh), (by_en, by_zh)) = (whose(change.who), whose(change.by));
            let (wrong_en, wrong_zh) = spoilt(change.wrong);
            let from = change.from.as_deref().unwrap_or("right");
            let (to_en, to_zh) = match &change.to {
                Some(to) => (format!("to {to}"), format!("改为 {to}")),
                None => ("gets its tries back".to_owned(), "恢复次数".to_owned()),
            };
            (
                format!(
                    "GET CHALLENGE, the PIN of {en} {to_en}, by {by_en} with {}{wrong_en}",
                    pin_en(from)
                ),
                format!(
                    "取随机数，{by_zh}以{}将{zh}PIN{to_zh}{wrong_zh}",
                    pin_zh(from)
                ),
            )
        }
        Action::CertificateSign(sign) => (
            format!("SIGN {}, checked with the card's public key", sign.message),
            format!("对 {} 签名，用卡内公钥验签", sign.message),
        ),
        Action::CertificateDecrypt(decrypt) => {
            let (wrong_en, wrong_zh) = spoilt(decrypt.wrong);
            let (en, zh) = match decrypt.key {
                KeyPair::Signature => ("signature", "签名"),
                KeyPair::Encryption => ("encryption", "加密"),
            };
            let message = &decrypt.message;
            (
                format!("DECRYPT {message}, encrypted for the {en} key{wrong_en}"),
                format!("解密用{zh}公钥加密的 {message}{wrong_zh}"),
            )
        }
        Action::CertificateCheck(CertificateCheck::Public) => (
            "check the certificates: chain, day, use, public keys".to_owned(),
            "检查证书：证书链、有效期、用途、公钥".to_owned(),
        ),
        Action::CertificateCheck(CertificateCheck::Private) => (
            "check the certificates, and use the private keys".to_owned(),
            "检查证书并使用私钥".to_owned(),
        ),
        _ => Default::default(),
    }
}

fn key_en(by: &Authenticate) -> String {
    let version = by.version.map(|version| format!(" version {version:02X}"));
    let wrong = by.wrong.map_or("", |_| ", the code spoilt");
    format!("{}{}{wrong}", by.key, version.unwrap_or_default())
}

fn key_zh(by: &Authenticate) -> String {
    let version = by.version.map(|version| format!(" 版本{version:02X}"));
    let wrong = by.wrong.map_or("", |_| "（认证码错误）");
    format!(" {}{}{wrong} ", by.key, version.unwrap_or_default())
}

fn pin_en(pin: &str) -> String {
    match pin {
        "right" => "the right PIN".to_owned(),
        "wrong" => "a wrong PIN".to_owned(),
        "" => "no PIN".to_owned(),
        digits => digits.to_owned(),
    }
}

fn pin_zh(pin: &str) -> String {
    match pin {
        "right" => "正确密码".to_owned(),
        "wrong" => "错误密码".to_owned(),
        "" => "空密码".to_owned(),
        digits => format!("密码 {digits}"),
    }
}

fn weight(weight: Weight) -> &'static str {
    match weight {
        Weight::Must => "must 必须",
        Weight::Should => "should 应当",
        Weight::May => "may 可选",
    }
}

fn safety(safety: Safety) -> &'static str {
    match safety {
        Safety::ReadOnly => "read-only 只读",
        Safety::ConsumesPinTry => "consumes-pin-try 消耗密码次数",
        Safety::ConsumesKeyTry => "consumes-key-try 消耗密钥次数",
        Safety::Writes => "writes 写卡",
        Safety::Irreversible => "irreversible 不可逆",
    }
}

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::plan;

    #[test]
    fn every_shipped_case_is_told_in_both_languages() {
        for case in plan::shipped().unwrap() {
            let text = explain(&case);
            assert!(text.contains(&case.says.en) && text.contains(&case.says.zh));
            for step in &case.steps {
                assert!(text.contains(&step.label), "{}", case.id);
            }
        }
    }

    #[test]
    fn an_expectation_is_told_with_its_words() {
        let cases = plan::shipped().unwrap();
        let case = cases.iter().find(|case| case.id == "verify/a-wrong-pin");
        let text = explain(case.unwrap());
        assert!(text.contains("verification failed"), "{text}");
        assert!(text.contains("不满足安全状态"), "{text}");
    }
}
