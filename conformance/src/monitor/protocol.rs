//! What holds of any card: lengths, GET RESPONSE, wrong Le, errors. M01 to M04.

use super::catalogue::{M01, M02, M03, M04};
use super::{Findings, INS_GET_RESPONSE, Turn};
use cardlab::apdu::{Command, Response, Sw};

/// What waits for GET RESPONSE.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    channel: u8,
    /// SW2 of the '61XX'.
    announced: u8,
}

/// What was said to be the right Le.
#[derive(Clone, Debug, Default)]
struct Refused {
    /// The header of the command, for as long as the next one may repeat it.
    header: Option<[u8; 4]>,
    /// The right one; `None` where the last answer was not '6CXX'.
    ne: Option<u32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Protocol {
    waiting: Option<Waiting>,
    refused: Refused,
}

const fn of_256(sw2: u8) -> u32 {
    if sw2 == 0 { 256 } else { sw2 as u32 }
}

/// Whether the command fetches what waits.
pub(super) const fn fetches(command: &Command<'_>) -> bool {
    command.ins == INS_GET_RESPONSE && command.class.base() == 0
}

/// In the social security application one warning is known: '63CX', to what compares.
pub(super) fn watch_warning(turn: &Turn<'_>, found: &mut Findings) {
    let Some(sw) = turn.sw.filter(|sw| matches!(sw.sw1(), 0x62 | 0x63)) else {
        return;
    };
    let compares = matches!(turn.command.ins, 0x20 | 0x5E | 0x82);
    if !compares || sw.0 & 0xFFF0 != 0x63C0 {
        found.add(&M04, || {
            format!("the warning {sw}, which the command does not have")
        });
    }
}

impl Protocol {
    /// The card was reset or is without power.
    pub(super) fn started(&mut self) {
        self.waiting = None;
        self.refused.ne = None;
    }

    /// One exchange; `command` is `None` where the bytes are none.
    pub(super) fn watch(
        &mut self,
        command: Option<&Command<'_>>,
        bytes: &[u8],
        answer: &Response<'_>,
        found: &mut Findings,
    ) {
        let (len, sw) = (answer.data.len(), answer.sw);
        let ne = command.map_or(0, |command| command.ne);
        if u32::try_from(len).is_ok_and(|len| len > ne) {
            found.add(&M01, || format!("{len} bytes where {ne} were asked for"));
        }
        if sw.is_error() && len > 0 {
            found.add(&M04, || format!("{len} bytes of data with {sw}"));
        }
        self.watch_le(command, bytes, sw, found);
        if let Some(command) = command {
            self.watch_rest(command, answer, found);
        }
    }

    fn watch_le(
        &mut self,
        command: Option<&Command<'_>>,
        bytes: &[u8],
        sw: Sw,
        found: &mut Findings,
    ) {
        // With data T=0 has no room for an Le: what '6CXX' means there is not that.
        let Some(command) = command.filter(|command| command.data.is_empty()) else {
            self.refused.ne = None;
            return;
        };
        let header = bytes.first_chunk().copied();
        if self.refused.ne == Some(command.ne) && sw.sw1() == 0x6C && self.refused.header == header
        {
            found.add(&M03, || format!("{sw} to Le {}", command.ne));
        }
        self.refused.ne = None;
        if sw.sw1() == 0x6C {
            self.refused.ne = Some(of_256(sw.sw2()));
            self.refused.header = header;
        }
    }

    fn watch_rest(&mut self, command: &Command<'_>, answer: &Response<'_>, found: &mut Findings) {
        let (len, sw) = (answer.data.len(), answer.sw);
        let waiting = self.waiting.take();
        if fetches(command) && !command.class.is_chaining() {
            let mine = waiting.filter(|waiting| waiting.channel == command.class.channel());
            match mine {
                None if len > 0 => {
                    found.add(&M02, || {
                        format!("{len} bytes of GET RESPONSE where none wait")
                    });
                }
                None => {}
                Some(Waiting { announced, .. }) => {
                    let due = of_256(announced);
                    let len = u32::try_from(len).unwrap_or(u32::MAX);
                    let again = Sw(u16::from_be_bytes([0x6C, announced]));
                    // A card without the long form says '6C' to Le 00, with how many there are.
                    let asks_rightly = command.ne <= due;
                    if sw == again && command.ne != due {
                        self.waiting = waiting;
                    } else if asks_rightly && !sw.is_error() && len != command.ne
                        || !asks_rightly && !sw.is_error() && len != due
                    {
                        found.add(&M02, || format!("{len} bytes of the {due} announced"));
                    } else if command.ne == due && sw.is_error() {
                        found.add(&M02, || {
                            format!("{sw} to GET RESPONSE of the {due} announced")
                        });
                    }
                }
            }
        }
        if sw.sw1() == 0x61 {
            self.waiting = Some(Waiting {
                channel: command.class.channel(),
                announced: sw.sw2(),
            });
        }
    }
}
