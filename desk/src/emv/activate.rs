//! The bank activates an application that declines everything until then.
//!
//! The card proves itself with a cryptogram that declines; the bank answers with the
//! command that only it can seal. It also unblocks an application that it blocked.
//!
//! Source: requirement R06; EMV 4.4 book 3, 6.5.2 (APPLICATION UNBLOCK).

use super::{Holder, Kernel, Phase, Sale, Step, Terminal, Why};
use crate::bank::host::{Bank, Reason};
use cardlab::aid::Aid;
use cardlab::icc::Icc;

/// How an activation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Whether the application is active now.
    pub done: bool,
    /// Why the bank refused, where it did.
    pub refused: Option<Reason>,
    /// What stopped it before.
    pub stopped: Option<Why>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// Has the bank activate, or unblock, the application of this name.
pub fn activate(
    icc: &mut dyn Icc,
    terminal: &Terminal,
    sale: &Sale,
    aid: &Aid,
    bank: &mut Bank,
) -> Activation {
    let holder = Holder::default();
    let mut kernel = Kernel::new(icc, terminal, sale, &holder);
    let (done, refused, stopped) = match kernel.activate(aid, bank) {
        Ok(Ok(done)) => (done, None, None),
        Ok(Err(reason)) => (false, Some(reason), None),
        Err(why) => (false, None, Some(why)),
    };
    let mut steps = kernel.steps;
    let (en, zh) = match (done, &stopped) {
        (true, _) => (
            "the application is active".to_owned(),
            "金融应用已激活".to_owned(),
        ),
        (false, Some(why)) => (
            format!("stopped: {why}"),
            format!("中止：{}", why.words_zh()),
        ),
        (false, None) => (
            "nothing is changed: the application is as it was".to_owned(),
            "未作更改，金融应用保持原状态".to_owned(),
        ),
    };
    steps.push(Step {
        phase: Phase::End,
        en,
        zh,
    });
    Activation {
        done,
        refused,
        stopped,
        steps,
    }
}

impl Kernel<'_> {
    fn activate(&mut self, aid: &Aid, bank: &mut Bank) -> Result<Result<bool, Reason>, Why> {
        self.choose_blocked(aid)?;
        self.read_application()?;
        self.prove()?;
        let request = self.prepare_request();
        let answered = bank.activate(&request);
        let answered = answered.map_err(|_| Why::Malformed("GENERATE AC"))?;
        let script = match answered {
            Ok(script) => script,
            Err(reason) => {
                self.say(
                    Phase::Host,
                    format!("the bank refuses: {}", reason.words()),
                    format!("发卡行拒绝：{}", reason.words_zh()),
                );
                return Ok(Err(reason));
            }
        };
        self.say(
            Phase::Host,
            "the bank knows the card by its cryptogram, and sends the command",
            "发卡行验证应用密文通过，下发激活命令",
        );
        Ok(Ok(self.run_command(&script)?))
    }
}
