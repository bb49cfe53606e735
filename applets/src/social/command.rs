//! The commands of the social security applet: bytes become an intent once.
//!
//! The checks come in one order for all commands: the class is one of 00, 04, 80, 84
//! and B0 ('6E00'), the instruction is known ('6D00') and goes with that class
//! ('6E00'), P1-P2 ('6A86'), the length ('6700'), the form of the data ('6A80').
//!
//! Source: social security card specification, part 5, 6.3 and 7 (LD/T 32.5-2015,
//! 6.3.1 and 7, by the same names).

use super::account::MONEY_LEN;
use cardlab::apdu::{Command, Sw};
use cardlab::fen::Fen;
use cardlab::files;

/// What a command wants that is not the file system's. It can carry a PIN or a key, so
/// it cannot be printed.
#[derive(Clone, Copy)]
pub(super) enum Intent<'a> {
    /// Give data that wait, where none do: the operating system gives those that do.
    GetResponse,
    /// Draw a random number of this length, 4, 8 or 16.
    GetChallenge { len: u8 },
    /// Prove the card to the terminal.
    InternalAuthenticate {
        random: [u8; 8],
        raw: [u8; 8],
        version: u8,
    },
    /// Prove the terminal to the card.
    ExternalAuthenticate {
        kid: u8,
        code: [u8; 8],
        raw: [u8; 8],
        version: u8,
    },
    /// Ask how many tries the PIN has left.
    PinStatus,
    /// Verify the PIN, 2 to 8 bytes.
    Verify { pin: &'a [u8] },
    /// Replace the PIN by its holder; either may be empty.
    ChangePin { old: &'a [u8], new: &'a [u8] },
    /// Give the PIN its tries back.
    UnblockPin { seal: Seal<'a> },
    /// Replace the PIN by its issuer.
    ResetPin {
        enciphered: &'a [u8],
        seal: Seal<'a>,
    },
    /// Block the current application for good.
    BlockApplication { seal: Seal<'a> },
    /// Block the card for good.
    BlockCard { seal: Seal<'a> },
    /// Load a key into the current directory.
    WriteKey(NewKey<'a>),
    /// Load the PIN with its number of tries; 0 to 8 bytes.
    WritePin { tries: u8, pin: &'a [u8] },
    /// Write the hidden money file of the current directory.
    WriteAccount { money: &'a [u8; MONEY_LEN] },
    /// Something with the medical account.
    Medical(Medical),
}

/// What a medical command wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medical {
    /// Begin a load.
    InitializeForLoad {
        index: u8,
        amount: Fen,
        terminal: [u8; 6],
    },
    /// Do the load that was begun.
    CreditForLoad { time: [u8; 7], mac: [u8; 4] },
    /// Begin a purchase.
    InitializeForPurchase {
        index: u8,
        amounts: Amounts,
        terminal: [u8; 6],
    },
    /// Do the purchase that was begun.
    DebitForPurchase {
        number: [u8; 4],
        time: [u8; 7],
        mac: [u8; 4],
    },
    /// Tell the balance, or a sum and its year.
    GetBalance(Balance),
    /// Prove the transaction with this number.
    Prove { trade: Trade, number: u16 },
    /// Set the day on which the year of payment starts.
    UpdateStartingDay { day: [u8; 2] },
    /// Tell that day.
    GetStartingDay,
}

/// The type of a transaction, in its MACs and in the details file.
///
/// Source: social security card specification, part 6, 6 (DF04/EF08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trade {
    /// 账户划入, "1".
    Load = 0x31,
    /// 医疗结算, "2".
    Purchase = 0x32,
}

impl Trade {
    /// The type of this byte.
    pub(super) const fn from_byte(byte: u8) -> Option<Trade> {
        match byte {
            0x31 => Some(Trade::Load),
            0x32 => Some(Trade::Purchase),
            _ => None,
        }
    }
}

/// Who pays how much of a purchase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    /// The personal account on the card.
    pub(super) account: Fen,
    /// The holder.
    pub(super) own: Fen,
    /// The pooled fund.
    pub(super) pooled: Fen,
}

impl Amounts {
    /// How many bytes they are.
    pub(super) const LEN: usize = 12;

    /// The amounts that these bytes are.
    pub(super) const fn from_bytes(bytes: [u8; Amounts::LEN]) -> Amounts {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Amounts {
            account: Fen::from_be_bytes([a, b, c, d]),
            own: Fen::from_be_bytes([e, f, g, h]),
            pooled: Fen::from_be_bytes([i, j, k, l]),
        }
    }

    /// Their bytes, one after the other.
    pub(super) fn to_bytes(self) -> [u8; Amounts::LEN] {
        let mut bytes = [0; Amounts::LEN];
        let amounts = [self.account, self.own, self.pooled];
        for (field, amount) in bytes.as_chunks_mut().0.iter_mut().zip(amounts) {
            *field = amount.to_be_bytes();
        }
        bytes
    }
}

/// What GET BALANCE tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Balance {
    /// The balance of the personal account.
    Account,
    /// What the holder paid, and the year.
    Own,
    /// What the pooled fund paid, and the year.
    Pooled,
}

/// A key to be loaded.
#[derive(Clone, Copy)]
pub(super) struct NewKey<'a> {
    /// What it is for.
    pub(super) purpose: Purpose,
    /// Its identifier.
    pub(super) kid: u8,
    /// Its version, 1 to 3.
    pub(super) version: u8,
    /// The identifier of its algorithm.
    pub(super) algorithm: u8,
    /// How many failures in a row lock it; 0 for any number.
    pub(super) tries: u8,
    /// Its 8 or 16 bytes.
    pub(super) bytes: &'a [u8],
}

/// The one thing a key may be used for.
///
/// Source: social security card specification, part 4, 7.1; the numbers are those
/// of this card's WRITE KEY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// EXTERNAL AUTHENTICATION: MK, BK, PUK, LK, UK, RK.
    ExternalAuthentication = 0x00,
    /// INTERNAL AUTHENTICATION: IRK.
    InternalAuthentication = 0x01,
    /// Messages of the issuer: STK.
    Messages = 0x02,
    /// Loading the account: DLK.
    Load = 0x03,
    /// Purchase: DPK.
    Purchase = 0x04,
    /// Transaction certificate: DTK.
    Certificate = 0x05,
    /// Starting day: DSK.
    StartingDay = 0x06,
}

impl Purpose {
    /// How many there are.
    pub(super) const COUNT: u32 = 7;
    /// All of them, by their numbers.
    pub(super) const ALL: [Purpose; Purpose::COUNT as usize] = [
        Purpose::ExternalAuthentication,
        Purpose::InternalAuthentication,
        Purpose::Messages,
        Purpose::Load,
        Purpose::Purchase,
        Purpose::Certificate,
        Purpose::StartingDay,
    ];
}

/// The secure messaging of a command: what its MAC is over, and the MAC.
///
/// Source: social security card specification, part 4, 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal<'a> {
    /// CLA INS P1 P2 Lc, with the MAC counted in Lc.
    pub(super) header: [u8; 5],
    /// The data before the MAC.
    pub(super) data: &'a [u8],
    /// The MAC.
    pub(super) mac: [u8; 4],
}

/// APPLICATION BLOCK.
const INS_APPLICATION_BLOCK: u8 = 0x1E;
/// CARD BLOCK.
const INS_CARD_BLOCK: u8 = 0x16;
/// CHANGE PIN.
const INS_CHANGE_PIN: u8 = 0x5E;
/// EXTERNAL AUTHENTICATION.
const INS_EXTERNAL_AUTHENTICATION: u8 = 0x82;
/// GET RESPONSE.
const INS_GET_RESPONSE: u8 = 0xC0;
/// GET CHALLENGE.
const INS_GET_CHALLENGE: u8 = 0x84;
/// INTERNAL AUTHENTICATION.
const INS_INTERNAL_AUTHENTICATION: u8 = 0x88;
/// PIN CHANGE/UNBLOCK.
const INS_PIN_CHANGE_UNBLOCK: u8 = 0x24;
/// VERIFY.
const INS_VERIFY: u8 = 0x20;
/// WRITE KEY, and WRITE PIN with P1 10: a command of this card for its issuer.
const INS_WRITE_KEY: u8 = 0xD4;

/// INITIALIZE FOR LOAD with P1 00, INITIALIZE FOR PURCHASE with P1 01.
const INS_INITIALIZE: u8 = 0x28;
/// CREDIT FOR LOAD.
const INS_CREDIT: u8 = 0x2A;
/// DEBIT FOR PURCHASE.
const INS_DEBIT: u8 = 0x2C;
/// GET BALANCE.
const INS_GET_BALANCE: u8 = 0x26;
/// GET TRANSACTION PROOF.
const INS_GET_TRANSACTION_PROOF: u8 = 0x2E;
/// UPDATE STARTING DAY with P1 00, GET STARTING DAY with P1 01.
const INS_STARTING_DAY: u8 = 0x56;

/// P1 of WRITE KEY that means the PIN.
const P1_PIN: u8 = 0x10;
/// P1 of WRITE KEY that means the hidden money file.
const P1_ACCOUNT: u8 = 0x11;

/// The key version where a command names none.
const VERSION_DEFAULT: u8 = 1;

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    /// Checks the class, INS, P1-P2, the length and the form of the data, in this
    /// order; see the module.
    #[inline]
    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        check_class(command)?;
        match command.ins {
            INS_VERIFY => {
                no_parameters(command)?;
                match command.data.len() {
                    0 => Ok(Intent::PinStatus),
                    2..=8 => Ok(Intent::Verify { pin: command.data }),
                    _ => Err(Sw::WRONG_LENGTH),
                }
            }
            INS_GET_RESPONSE => {
                no_parameters(command)?;
                no_data(command)?;
                Ok(Intent::GetResponse)
            }
            INS_GET_CHALLENGE => {
                no_parameters(command)?;
                no_data(command)?;
                match command.ne {
                    4 => Ok(Intent::GetChallenge { len: 4 }),
                    8 => Ok(Intent::GetChallenge { len: 8 }),
                    16 => Ok(Intent::GetChallenge { len: 16 }),
                    _ => Err(Sw::WRONG_LENGTH),
                }
            }
            INS_INTERNAL_AUTHENTICATION => {
                no_parameters(command)?;
                let (random, raw, version) = halves(command)?;
                Ok(Intent::InternalAuthenticate {
                    random,
                    raw,
                    version,
                })
            }
            INS_EXTERNAL_AUTHENTICATION => {
                if command.p1 != 0 || !is_kid(command.p2) {
                    return Err(Sw::WRONG_P1_P2);
                }
                let (code, raw, version) = halves(command)?;
                Ok(Intent::ExternalAuthenticate {
                    kid: command.p2,
                    code,
                    raw,
                    version,
                })
            }
            INS_CHANGE_PIN => change_pin(command),
            INS_PIN_CHANGE_UNBLOCK => pin_change_unblock(command),
            INS_APPLICATION_BLOCK => {
                parameters(command, [0, 1])?;
                Ok(Intent::BlockApplication {
                    seal: bare_seal(command)?,
                })
            }
            INS_CARD_BLOCK => {
                no_parameters(command)?;
                Ok(Intent::BlockCard {
                    seal: bare_seal(command)?,
                })
            }
            INS_WRITE_KEY => write_key(command),
            INS_INITIALIZE
            | INS_CREDIT
            | INS_DEBIT
            | INS_GET_BALANCE
            | INS_GET_TRANSACTION_PROOF
            | INS_STARTING_DAY => medical(command).map(Intent::Medical),
            _ => Err(Sw::INS_NOT_SUPPORTED),
        }
    }
}

/// Which class an instruction goes with; the updating ones go with two.
#[inline]
fn check_class(command: &Command<'_>) -> Result<(), Sw> {
    let class = command.class.base();
    let goes_with = match command.ins {
        INS_VERIFY
        | INS_GET_CHALLENGE
        | INS_GET_RESPONSE
        | INS_INTERNAL_AUTHENTICATION
        | INS_EXTERNAL_AUTHENTICATION
        | files::INS_SELECT
        | files::INS_READ_BINARY
        | files::INS_READ_RECORD
        | files::INS_CREATE_FILE
        | files::INS_ACTIVATE_FILE => class == 0x00,
        files::INS_UPDATE_BINARY | files::INS_UPDATE_RECORD => matches!(class, 0x00 | 0x04),
        INS_CHANGE_PIN | INS_WRITE_KEY => class == 0x80,
        INS_PIN_CHANGE_UNBLOCK | INS_APPLICATION_BLOCK | INS_CARD_BLOCK => class == 0x84,
        INS_INITIALIZE
        | INS_CREDIT
        | INS_DEBIT
        | INS_GET_BALANCE
        | INS_GET_TRANSACTION_PROOF
        | INS_STARTING_DAY => class == 0xB0,
        _ if matches!(class, 0x00 | 0x04 | 0x80 | 0x84 | 0xB0) => {
            return Err(Sw::INS_NOT_SUPPORTED);
        }
        _ => false,
    };
    if goes_with {
        Ok(())
    } else {
        Err(Sw::CLA_NOT_SUPPORTED)
    }
}

fn parameters(command: &Command<'_>, p1_p2: [u8; 2]) -> Result<(), Sw> {
    if [command.p1, command.p2] == p1_p2 {
        Ok(())
    } else {
        Err(Sw::WRONG_P1_P2)
    }
}

fn no_parameters(command: &Command<'_>) -> Result<(), Sw> {
    parameters(command, [0, 0])
}

fn no_data(command: &Command<'_>) -> Result<(), Sw> {
    if command.data.is_empty() {
        Ok(())
    } else {
        Err(Sw::WRONG_LENGTH)
    }
}

/// Whether this is a key identifier: b8 says whose key it is, b4 to b1 which.
///
/// Source: social security card specification, part 5, table 14.
const fn is_kid(byte: u8) -> bool {
    byte & 0x70 == 0
}

/// Two halves of 8 bytes, and a key version that may be absent.
fn halves(command: &Command<'_>) -> Result<([u8; 8], [u8; 8], u8), Sw> {
    let (&first, rest) = command.data.split_first_chunk().ok_or(Sw::WRONG_LENGTH)?;
    let (&second, rest) = rest.split_first_chunk().ok_or(Sw::WRONG_LENGTH)?;
    match *rest {
        [] => Ok((first, second, VERSION_DEFAULT)),
        [version] => Ok((first, second, version)),
        _ => Err(Sw::WRONG_LENGTH),
    }
}

/// Old PIN, FF, new PIN. No PIN has a byte FF, so the first one parts them.
fn change_pin<'a>(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
    parameters(command, [1, 0])?;
    if !(3..=17).contains(&command.data.len()) {
        return Err(Sw::WRONG_LENGTH);
    }
    let at = command
        .data
        .iter()
        .position(|&byte| byte == 0xFF)
        .ok_or(Sw::WRONG_DATA)?;
    let (old, rest) = command.data.split_at(at);
    let new = rest.get(1..).unwrap_or_default();
    if old.len() > 8 || !is_pin(new) {
        return Err(Sw::WRONG_DATA);
    }
    Ok(Intent::ChangePin { old, new })
}

/// Whether these bytes can be a PIN, which may also be none: 2 to 8 bytes of
/// decimal digits, where the last digit of an odd number of them is followed by F.
///
/// Source: social security card specification, part 5, 7.3 and VERIFY.
pub(super) fn is_pin(bytes: &[u8]) -> bool {
    let Some((&last, whole)) = bytes.split_last() else {
        return true;
    };
    let is_digit = |digit: u8| digit < 10;
    (2..=8).contains(&bytes.len())
        && whole
            .iter()
            .all(|&byte| is_digit(byte >> 4) && is_digit(byte & 0xF))
        && is_digit(last >> 4)
        && (is_digit(last & 0xF) || (last & 0xF == 0xF && bytes.len() > 2))
}

fn pin_change_unblock<'a>(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
    match [command.p1, command.p2] {
        [0, 0] => Ok(Intent::UnblockPin {
            seal: bare_seal(command)?,
        }),
        [0, 1] => {
            let seal = seal(command)?;
            match seal.data.len() {
                8 | 16 => Ok(Intent::ResetPin {
                    enciphered: seal.data,
                    seal,
                }),
                _ => Err(Sw::WRONG_LENGTH),
            }
        }
        _ => Err(Sw::WRONG_P1_P2),
    }
}

/// The MAC at the end of the data.
fn seal<'a>(command: &Command<'a>) -> Result<Seal<'a>, Sw> {
    let lc = u8::try_from(command.data.len()).map_err(|_| Sw::WRONG_LENGTH)?;
    let (data, &mac) = command.data.split_last_chunk().ok_or(Sw::WRONG_LENGTH)?;
    let header = [
        command.class.byte(),
        command.ins,
        command.p1,
        command.p2,
        lc,
    ];
    Ok(Seal { header, data, mac })
}

/// A MAC and nothing else.
fn bare_seal<'a>(command: &Command<'a>) -> Result<Seal<'a>, Sw> {
    seal(command).and_then(|seal| {
        if seal.data.is_empty() {
            Ok(seal)
        } else {
            Err(Sw::WRONG_LENGTH)
        }
    })
}

fn write_key<'a>(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
    if command.p1 == P1_PIN {
        parameters(command, [P1_PIN, 0])?;
        let (&tries, pin) = command.data.split_first().ok_or(Sw::WRONG_LENGTH)?;
        return match pin.len() {
            0 | 2..=8 if (1..=15).contains(&tries) && is_pin(pin) => {
                Ok(Intent::WritePin { tries, pin })
            }
            0 | 2..=8 => Err(Sw::WRONG_DATA),
            _ => Err(Sw::WRONG_LENGTH),
        };
    }
    if command.p1 == P1_ACCOUNT {
        parameters(command, [P1_ACCOUNT, 0])?;
        let money = command.data.try_into().map_err(|_| Sw::WRONG_LENGTH)?;
        return Ok(Intent::WriteAccount { money });
    }
    let purpose = Purpose::ALL
        .get(usize::from(command.p1))
        .filter(|_| is_kid(command.p2));
    let &purpose = purpose.ok_or(Sw::WRONG_P1_P2)?;
    match *command.data {
        [version, algorithm, tries, ref bytes @ ..] if matches!(bytes.len(), 8 | 16) => {
            let kid = command.p2;
            if !(1..=3).contains(&version) || tries > 15 {
                return Err(Sw::WRONG_DATA);
            }
            Ok(Intent::WriteKey(NewKey {
                purpose,
                kid,
                version,
                algorithm,
                tries,
                bytes,
            }))
        }
        _ => Err(Sw::WRONG_LENGTH),
    }
}

/// The medical commands.
///
/// Source: social security card specification, part 5, the commands of class B0.
fn medical(command: &Command<'_>) -> Result<Medical, Sw> {
    match (command.ins, command.p1, command.p2) {
        (INS_INITIALIZE, 0x00, 0x01) => {
            let mut fields = Fields(command.data);
            let [index] = fields.next()?;
            let amount = Fen::from_be_bytes(fields.next()?);
            let terminal = fields.last()?;
            Ok(Medical::InitializeForLoad {
                index,
                amount,
                terminal,
            })
        }
        (INS_INITIALIZE, 0x01, 0x01) => {
            let mut fields = Fields(command.data);
            let [index] = fields.next()?;
            let amounts = Amounts::from_bytes(fields.next()?);
            let terminal = fields.last()?;
            Ok(Medical::InitializeForPurchase {
                index,
                amounts,
                terminal,
            })
        }
        (INS_CREDIT, 0x00, 0x00) => {
            let mut fields = Fields(command.data);
            let time = fields.next()?;
            let mac = fields.last()?;
            Ok(Medical::CreditForLoad { time, mac })
        }
        (INS_DEBIT, 0x01, 0x00) => {
            let mut fields = Fields(command.data);
            let (number, time) = (fields.next()?, fields.next()?);
            let mac = fields.last()?;
            Ok(Medical::DebitForPurchase { number, time, mac })
        }
        (INS_GET_BALANCE, 0x00, 0x01) => telling(command, 4, Medical::GetBalance(Balance::Account)),
        (INS_GET_BALANCE, 0x00, 0x02) => telling(command, 6, Medical::GetBalance(Balance::Own)),
        (INS_GET_BALANCE, 0x00, 0x03) => telling(command, 6, Medical::GetBalance(Balance::Pooled)),
        (INS_GET_TRANSACTION_PROOF, 0x00, trade) => {
            let trade = Trade::from_byte(trade).ok_or(Sw::WRONG_P1_P2)?;
            let number = u16::from_be_bytes(Fields(command.data).last()?);
            Ok(Medical::Prove { trade, number })
        }
        (INS_STARTING_DAY, 0x00, 0x00) => {
            let day = Fields(command.data).last()?;
            Ok(Medical::UpdateStartingDay { day })
        }
        (INS_STARTING_DAY, 0x01, 0x00) => telling(command, 2, Medical::GetStartingDay),
        _ => Err(Sw::WRONG_P1_P2),
    }
}

/// A medical command without data: Le has room for the answer of `len` bytes.
fn telling(command: &Command<'_>, len: u32, intent: Medical) -> Result<Medical, Sw> {
    no_data(command)?;
    if command.ne < len {
        return Err(Sw::WRONG_LENGTH);
    }
    Ok(intent)
}

/// Data of one length, field after field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> Result<[u8; N], Sw> {
        let (&field, rest) = self.0.split_first_chunk().ok_or(Sw::WRONG_LENGTH)?;
        self.0 = rest;
        Ok(field)
    }

    fn last<const N: usize>(mut self) -> Result<[u8; N], Sw> {
        let field = self.next()?;
        if self.0.is_empty() {
            Ok(field)
        } else {
            Err(Sw::WRONG_LENGTH)
        }
    }
}

/// A command of the file system, its secure messaging taken off; what it wants, the
/// file system reads.
pub(super) struct OnFiles<'a> {
    /// The command without its MAC.
    pub(super) command: Command<'a>,
    /// The secure messaging of an updating command, or what is wrong with it.
    pub(super) seal: Option<Result<Seal<'a>, Sw>>,
}

/// Whether an instruction is the file system's.
#[inline]
pub(super) const fn is_on_files(ins: u8) -> bool {
    matches!(
        ins,
        files::INS_SELECT
            | files::INS_READ_BINARY
            | files::INS_READ_RECORD
            | files::INS_UPDATE_BINARY
            | files::INS_UPDATE_RECORD
            | files::INS_CREATE_FILE
            | files::INS_ACTIVATE_FILE
    )
}

impl<'a> TryFrom<&Command<'a>> for OnFiles<'a> {
    type Error = Sw;

    /// Checks the class, and P1-P2 as far as this applet has fewer of them than the
    /// file system.
    #[inline]
    fn try_from(command: &Command<'a>) -> Result<OnFiles<'a>, Sw> {
        check_class(command)?;
        // SELECT knows P1 00, 02 and 04, and P2 00 or, with a name, 02.
        if command.ins == files::INS_SELECT
            && !matches!(
                [command.p1, command.p2],
                [0x00 | 0x02 | 0x04, 0x00] | [0x04, 0x02]
            )
        {
            return Err(Sw::WRONG_P1_P2);
        }
        let seal = (command.class.base() == 0x04).then(|| seal(command));
        let data = match seal {
            Some(Ok(seal)) => seal.data,
            Some(Err(_)) | None => command.data,
        };
        Ok(OnFiles {
            command: Command { data, ..*command },
            seal,
        })
    }
}
