//! The monitors by their ids: what each says, and by which clause.
//!
//! The ids are for ever.

/// What a monitor must know of a card to say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it watches any card.
    Nothing,
    /// The profile: directories, files, rules, keys, the PIN's limit.
    Profile,
    /// The profile with a bank application; for sums, the seed of the bank's keys.
    Bank,
    /// A second card in the same state with the same seed.
    SameCard,
}

impl Needs {
    /// The word in lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Needs::Nothing => "any card",
            Needs::Profile => "the profile",
            Needs::Bank => "a bank's profile",
            Needs::SameCard => "the same card again",
        }
    }
}

/// Something that holds in every exchange.
#[derive(Debug, PartialEq, Eq)]
pub struct Monitor {
    /// `M01` and so on.
    pub id: &'static str,
    /// What holds, in English.
    pub en: &'static str,
    /// What holds, in Chinese.
    pub zh: &'static str,
    /// Where it is written.
    pub source: &'static str,
    /// What it needs to know.
    pub needs: Needs,
}

macro_rules! monitors {
    ($($id:ident $needs:ident $source:literal $en:literal $zh:literal;)*) => {
        $(#[doc = $en]
        pub(super) static $id: Monitor = Monitor {
            id: stringify!($id),
            en: $en,
            zh: $zh,
            source: $source,
            needs: Needs::$needs,
        };)*

        /// All of them, by their ids.
        pub static ALL: &[&Monitor] = &[$(&$id),*];
    };
}

monitors! {
    M01 Nothing "ISO/IEC 7816-3:2006, 12.1.2"
        "A command is answered with no more data than it asks for; without Le, with none."
        "应答数据不超过命令所要求的长度；无Le的命令不返回数据。";
    M02 Nothing "ISO/IEC 7816-4:2020, 5.3.4; social security card specification, part 5, 7.6"
        "After '61XX' GET RESPONSE gives just what was announced; after another command, nothing."
        "“61XX”之后GET RESPONSE恰好返回所宣告的数据；其间若有其他命令，则不再返回。";
    M03 Nothing "ISO/IEC 7816-4:2020, 5.6"
        "A command repeated with the Le that '6CXX' named is not answered '6CXX' again."
        "按“6CXX”给出的Le重发命令，不再应答“6CXX”。";
    M04 Nothing "ISO/IEC 7816-4:2020, 5.6; social security card specification, part 5, table 5"
        "An error is answered without data, and a warning only by the commands that have one."
        "出错应答不带数据；警告状态只出现在规定的命令中。";
    M05 Profile "social security card specification, part 4, 6; part 7, 6"
        "A reset or a loss of power leaves no right: neither the PIN's nor a key's."
        "复位或断电之后，个人密码和密钥的安全状态均不保留。";
    M06 Profile "social security card specification, part 4, 5.5 and 6; part 7, 6"
        "A right got in one application opens nothing in another, and falls when that is selected."
        "在一个应用中取得的权限不能用于另一应用，选择另一应用后即失效。";
    M07 Profile "ISO/IEC 7816-4:2020, 7.2.2; social security card specification, part 5, SELECT"
        "A SELECT that fails leaves the current directory as it was."
        "选择失败不改变当前目录。";
    M08 Profile "social security card specification, part 4, 9; part 5, 7.5"
        "A challenge is good for one use, in the application and the session where it was drawn."
        "随机数只能使用一次，且仅在取得它的应用及本次上电期间有效。";
    M09 Nothing "social security card specification, part 5, 7.5"
        "No challenge of 8 bytes or more comes twice."
        "8字节及以上的随机数不重复出现。";
    M10 Profile "the card's own declaration; social security card specification, part 5, table 5"
        "The checks come in the declared order: CLA, INS, P1-P2, length, and the state after them."
        "检查次序与声明一致：CLA、INS、P1-P2、长度，然后才是状态。";
    M11 SameCard "the card's own declaration"
        "The same commands to the same card with the same seed get the same bytes."
        "同一卡、同一种子、同样的命令，应答逐字节相同。";
    M12 Profile "social security card specification, part 5, VERIFY; R09"
        "A try of the PIN that was counted stays counted, whatever happens to the power."
        "已扣减的密码尝试次数不因复位、断电或中途掉电而恢复。";
    M13 Profile "social security card specification, part 5, VERIFY, 7.3 and 7.4; R09, R10"
        "'63CX' counts down by one; at 0 even the right value gets '6983'; success restores all."
        "“63CX”逐次减一；减至0后即使正确也应答“6983”；成功后恢复为上限。";
    M14 Profile "social security card specification, part 4, 6; part 6, 6; R23"
        "Whoever lacks the right learns nothing: '6982' or '6985', and no word that tells content."
        "无权者得不到任何信息：只应答“6982”或“6985”，状态字不泄露内容。";
    M15 Profile "social security card specification, part 4, 9; part 5, 7.4"
        "The tries of a key never rise unless the key was proven."
        "密钥的剩余尝试次数只在认证成功后才恢复。";
    M16 Bank "JR/T 0025.5, GET PROCESSING OPTIONS, application transaction counter"
        "The transaction counter rises by one with each payment that is begun, and never falls."
        "应用交易计数器每开始一笔交易加一，任何情况下都不减少。";
    M17 Bank "EMV 4.3 Book 3, 9; JR/T 0025.5, GENERATE AC"
        "No cryptogram before GET PROCESSING OPTIONS, none after the last, two at most."
        "取处理选项之前不产生应用密文；每笔交易至多两个，交易结束后不再产生。";
    M18 Bank "EMV 4.3 Book 3, 9.2.3; JR/T 0025.5, card risk management"
        "A cryptogram is never higher than asked: decline, question, approval."
        "应用密文不高于终端的请求：拒绝低于联机，联机低于批准。";
    M19 Bank "JR/T 0025.5, card verification results"
        "What a cryptogram says of itself and of VERIFY is what was on the wire."
        "卡片验证结果所述的密文类型和脱机密码结果与实际通信一致。";
    M20 Bank "JR/T 0025.7, cryptogram version 01"
        "A cryptogram, and the MAC of the issuer's data, is over just the data of the payment."
        "应用密文和发卡行自定义数据的MAC恰好由本笔交易的数据算得。";
    M21 Bank "JR/T 0025.5, issuer script commands"
        "A script is done only under its MAC; one that is refused changes nothing but its mark."
        "脚本只在MAC正确时执行；被拒的脚本除失败标志外不改变任何数据。";
    M22 Bank "JR/T 0025.5, APPLICATION BLOCK and UNBLOCK, CARD BLOCK, transaction log"
        "A blocked application only declines until it is unblocked; the log has the last payment."
        "被锁定的应用在解锁前只能拒绝交易；交易日志与最近一笔批准的交易一致。";
    M23 Bank "EMV 4.3 Book 3, 10.2; Book 2, 6.5"
        "The locator's records can be read, always the same; a signature is over this number."
        "文件定位器所列记录均可读且内容不变；签名针对本次随机数。";
    M24 Bank "JR/T 0025.5, card risk management; JR/T 0025.13"
        "What is spent off line stays within its limits, which only the issuer sets back."
        "脱机消费不超过限额，只有发卡行能使其恢复。";
    M25 Profile "social security card specification, part 7, 7, 8 and 14; R17"
        "Money moves by the amount that was begun, its counter with it, whole or not at all."
        "金额只按已初始化的交易变动，计数器同步，要么全部完成，要么毫无改变。";
    M26 Profile "social security card specification, part 3, 5.3; part 7, 14; R17"
        "A cyclic file gives its records newest first, each whole, through wrap and loss of power."
        "循环文件按从新到旧给出记录，回绕和掉电后每条记录仍然完整。";
    M27 Profile "social security card specification, part 4, 6; part 6, 6; R03, R23"
        "Nothing is written without the right that the profile asks for."
        "未取得规定的权限，任何写操作都不成功。";
    M28 Profile "LD/T 6001.3-2023, 10.3 (CHECK_CERT, by its title)"
        "A certificate on the card is in order and of its authority, and the card's key is its."
        "卡内证书符合要求且由证书机构签发，卡内密钥与证书一致。";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_monitor_has_an_id_of_its_own_and_says_what_holds_in_both_languages() {
        for pair in ALL.windows(2) {
            assert!(pair[0].id < pair[1].id);
        }
        for monitor in ALL {
            assert!(
                monitor.en.ends_with('.') && monitor.en.is_ascii(),
                "{}",
                monitor.id
            );
            assert!(monitor.zh.ends_with('。'), "{}", monitor.id);
            assert!(!monitor.source.is_empty());
        }
    }
}
