//! A bank card of ours, put on by a bureau, and its bank.

use cardlab::aid::Aid;
use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab_desk::bank::application::{Application, CardBlock, Cash, Limits};
use cardlab_desk::bank::host::Bank;
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::personalise::Bureau;

pub(crate) const ACCOUNT: &str = "6228004116000202641";
pub(crate) const SEQUENCE: u8 = 1;
pub(crate) const PIN: &str = "654321";
pub(crate) const AID: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01]);
const SEED: u64 = 7;

/// An application with 100 yuan of electronic cash.
pub(crate) fn application() -> Application {
    Application {
        aid: AID,
        label: "PBOC DEBIT".to_owned(),
        account: ACCOUNT.to_owned(),
        sequence: SEQUENCE,
        holder: "LI SHIFAN".to_owned(),
        holder_id: "41160219900307152X".to_owned(),
        expiry: [0x34, 0x12, 0x31],
        effective: [0x24, 0x06, 0x01],
        pin: PIN.to_owned(),
        pin_tries: 3,
        default_action: [0xC0, 0x00],
        limits: Limits {
            lower: 10,
            upper: 15,
            foreign_currency: 3,
            foreign_country: 3,
            sum: Fen::new(100_000),
            upper_sum: Fen::new(200_000),
        },
        cash: Some(Cash {
            balance: Fen::new(10_000),
            balance_limit: Fen::new(100_000),
            single_limit: Fen::new(5_000),
            reset_threshold: Fen::new(3_000),
        }),
        methods: hex::decode("0000000000000000410342031E031F00").unwrap(),
        cash_methods: hex::decode("000007D0000000005F060103").unwrap(),
        card_block: CardBlock::Card,
        switches: 0,
        ..Application::of(ACCOUNT)
    }
}

/// A card with this application.
pub(crate) fn card(application: &Application) -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    card.power_on().unwrap();
    let keys = Keys::from_seed(SEED).of_card(&application.account, application.sequence);
    let level = Level::from_p1(1).unwrap();
    let mut bureau = Bureau::new(|_| StaticKeys::initial(), level, 3);
    bureau
        .personalise(&mut card, application, &keys.unwrap())
        .unwrap();
    bureau
        .personalise_directory(&mut card, &[application])
        .unwrap();
    card.reset().unwrap();
    card
}

/// Its bank, with 1,000 yuan in the account.
pub(crate) fn bank(application: &Application) -> Bank {
    let mut bank = Bank::from_seed(SEED);
    bank.open_for(&application.clone().into(), Fen::new(100_000));
    bank
}
