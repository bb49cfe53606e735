//! The operating system seen from its applets and from the wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{
    Applet, CardLifeCycle, Ctx, Deed, Install, Latch, Module, Nv, Outcome, Plan, Privileges, Reply,
    Rom, Transient,
};
use cardlab::icc::{Icc, Lost};
use cardlab::memory::{Cut, Ending, Ref};
use cardlab::os::Card;

const MANAGER: Aid = Aid::constant(&[0xF0, 0, 0, 0, 0, 0x01]);
const PROBE: Aid = Aid::constant(&[0xF0, 0, 0, 0, 0, 0x02]);

static ROM: Rom = Rom {
    issuer_domain: Module::of::<Manager>(MANAGER, MANAGER),
    modules: &[PROBE_MODULE],
};
const PROBE_MODULE: Module = Module::of::<Probe>(PROBE, PROBE);

/// Installs probes and moves the card's life cycle.
struct Manager;

impl Applet for Manager {
    fn select(&self, ctx: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
        ctx.answer(b"manager");
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        match command.ins {
            0xE6 => ctx.request(Deed::Install {
                load_file: PROBE,
                module: PROBE,
                instance: Aid::new(command.data).ok_or(Sw::WRONG_DATA)?,
                privileges: Privileges::CARD_LOCK,
                parameters: vec![command.p1],
            })?,
            0xF0 => ctx.request(Deed::SetCardLifeCycle(
                CardLifeCycle::from_byte(command.p1).ok_or(Sw::WRONG_P1_P2)?,
            ))?,
            0xF1 => ctx.request(Deed::SetLocked {
                instance: Aid::new(command.data).ok_or(Sw::WRONG_DATA)?,
                locked: command.p1 == 1,
            })?,
            0xDA => ctx.request(Deed::SetAtr(command.data.to_vec()))?,
            _ => return Err(Sw::INS_NOT_SUPPORTED),
        }
        Ok(Reply::OK)
    }
}

impl Install for Manager {
    fn attach(_: &mut Plan) -> Manager {
        Manager
    }

    fn install(&self, _: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
        Ok(())
    }
}

/// Does on command what an applet can do, lawful or not.
struct Probe {
    value: Nv<u32>,
    count: Latch<u8>,
    kept: Transient<u8>,
    fleeting: Transient<u8>,
    object: Nv<Ref>,
    overheard: Transient<u8>,
}

impl Applet for Probe {
    fn select(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        if command.p2 & 0x0C == 0x0C {
            ctx.set(&self.fleeting, 9);
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        ctx.answer(b"probe");
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        match command.ins {
            // Read all cells.
            0x01 => {
                let value = ctx.get(&self.value).to_be_bytes();
                let bytes = [
                    ctx.get(&self.count),
                    ctx.get(&self.kept),
                    ctx.get(&self.fleeting),
                ];
                ctx.answer(&value);
                ctx.answer(&bytes);
            }
            // Write all cells, then end in P1-P2.
            0x02 => {
                let value = ctx.get(&self.value) + 1;
                ctx.set(&self.value, value);
                ctx.set(&self.count, ctx_next(ctx, &self.count));
                ctx.set(&self.kept, 7);
                ctx.set(&self.fleeting, 9);
                let sw = Sw(u16::from_be_bytes([command.p1, command.p2]));
                if sw != Sw::OK {
                    return Err(sw);
                }
            }
            // Answer P1 x 256 + P2 bytes.
            0x03 => {
                let len = usize::from(u16::from_be_bytes([command.p1, command.p2]));
                let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
                ctx.answer(&bytes);
            }
            // Answer how many bytes came, and the last one.
            0x04 => {
                let len = u32::try_from(command.data.len()).unwrap();
                ctx.answer(&len.to_be_bytes());
                ctx.answer(command.data.last().map_or(&[], core::slice::from_ref));
            }
            // Open the object that a reference names.
            0x05 => {
                let reference =
                    Ref::from_number(u32::from_be_bytes(command.data.try_into().unwrap()));
                let object = ctx.object(reference);
                let bytes: [u8; 4] = ctx.read_array(object, 0);
                ctx.answer(&bytes);
            }
            // Allocate an object and give its reference.
            0x06 => {
                let object = ctx.allocate(u32::from(command.p1) * 1024)?;
                ctx.write(object, 0, b"mine");
                ctx.set(&self.object, object.reference());
                ctx.answer(&object.reference().number().to_be_bytes());
            }
            // Call the applet in the data field, which may call back.
            0x07 => {
                let server = Aid::new(command.data).ok_or(Sw::WRONG_DATA)?;
                let mut data = [command.p1; 4];
                let len = ctx.call(&server, command.p2, &mut data)?;
                ctx.answer(&data[..len]);
            }
            // A part that fails within a command that does not.
            0x08 => {
                let outcome = ctx.update(|ctx| {
                    ctx.set(&self.value, 1000);
                    Err::<(), Sw>(Sw::WRONG_DATA)
                });
                assert_eq!(outcome, Err(Sw::WRONG_DATA));
                let value = ctx.get(&self.value) + 1;
                ctx.set(&self.value, value);
            }
            0x09 => ctx.request(Deed::SetCardLifeCycle(
                CardLifeCycle::from_byte(command.p1).ok_or(Sw::WRONG_P1_P2)?,
            ))?,
            // Ask for a deed, and be broken.
            0x0A => {
                ctx.request(Deed::SetCardLifeCycle(CardLifeCycle::Locked))?;
                let nowhere = ctx.object(Ref::from_number(1));
                ctx.write(nowhere, 0, b"lost");
            }
            // Answer how often the system answered in this applet's place.
            0x0B => ctx.answer(&[ctx.get(&self.overheard)]),
            0x84 => {
                let mut bytes = [0; 8];
                ctx.random(&mut bytes);
                ctx.answer(&bytes);
            }
            _ => return Err(Sw::INS_NOT_SUPPORTED),
        }
        Ok(Reply::OK)
    }

    fn overhear(&self, ctx: &mut Ctx<'_>) {
        let count = ctx.get(&self.overheard) + 1;
        ctx.set(&self.overheard, count);
        ctx.answer(b"not on the wire");
    }

    fn share(
        &self,
        ctx: &mut Ctx<'_>,
        client: &Aid,
        service: u8,
        data: &mut [u8],
    ) -> Result<usize, Sw> {
        let value = ctx.get(&self.value) + 1;
        ctx.set(&self.value, value);
        ctx.answer(b"not on the wire");
        match service {
            0 => {
                data[0] = client.as_bytes()[5];
                Ok(1)
            }
            1 => ctx.call(client, 0, data),
            _ => Err(Sw::WRONG_DATA),
        }
    }
}

fn ctx_next(ctx: &Ctx<'_>, count: &Latch<u8>) -> u8 {
    ctx.get(count).wrapping_add(1)
}

impl Install for Probe {
    fn attach(plan: &mut Plan) -> Probe {
        Probe {
            value: plan.nv(),
            count: plan.latch(),
            kept: plan.transient_on_reset(),
            fleeting: plan.transient_on_deselect(),
            object: plan.nv(),
            overheard: plan.transient_on_deselect(),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        ctx.set(&self.value, 100);
        if parameters == [0xEE] {
            Err(Sw::WRONG_DATA)
        } else {
            Ok(())
        }
    }
}

fn send(card: &mut Card, hex: &str) -> String {
    let mut response = Vec::new();
    let bytes = hex::decode(hex.replace(' ', "")).unwrap();
    match card.transmit(&bytes, &mut response) {
        Ok(()) => hex::encode_upper(response),
        Err(lost) => lost.to_string(),
    }
}

/// A card with two probes, the manager selected.
fn card() -> Card {
    let mut card = Card::manufacture(&ROM, 1);
    card.power_on().unwrap();
    assert_eq!(send(&mut card, "80E60000 06 F1010101010A"), "9000");
    assert_eq!(send(&mut card, "80E60000 06 F1010101010B"), "9000");
    card
}

fn with_first() -> Card {
    let mut card = card();
    assert_eq!(
        send(&mut card, "00A40400 06 F1010101010A 00"),
        "70726F62659000"
    );
    card
}

#[test]
fn a_card_without_power_is_silent() {
    let mut card = Card::manufacture(&ROM, 1);
    let mut response = vec![1];
    assert_eq!(
        card.transmit(&[0, 0xA4, 4, 0], &mut response),
        Err(Lost::NoPower)
    );
    assert!(response.is_empty());
    assert_eq!(card.reset(), Err(Lost::NoPower));
    card.power_on().unwrap();
    card.power_off();
    assert_eq!(
        card.transmit(&[0, 0xA4, 4, 0], &mut response),
        Err(Lost::NoPower)
    );
}

#[test]
fn a_full_name_wins_over_the_first_bytes_of_another_and_next_goes_on() {
    let mut card = card();
    assert_eq!(
        send(&mut card, "00A40400 06 F1010101010B 00"),
        "70726F62659000"
    );
    // By its first bytes the first one is found, and the next occurrence is the second.
    send(&mut card, "00A40400 04 F1010101");
    assert_eq!(send(&mut card, "8002900000"), "9000");
    assert_eq!(send(&mut card, "00A40402 04 F1010101 00"), "70726F62659000");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "00000064 00 07 00 9000"
            .replace(' ', "")
            .replace("07", "00")
    );
    // There is no third: the command goes to the selected applet, which does not know it.
    assert_eq!(send(&mut card, "00A40402 04 F1010101 00"), "6D00");
    assert_eq!(
        send(&mut card, "00A40400 00"),
        "6D616E61676572 9000".replace(' ', "")
    );
}

#[test]
fn an_applet_overhears_what_the_system_answers_on_its_channel() {
    let mut card = with_first();
    let overheard = |card: &mut Card| send(card, "800B0000 00");
    let mut count = 0;
    for (command, answer) in [
        // A channel opened, closed, not closed, not opened.
        ("00700000 01", "019000"),
        ("00708001", "9000"),
        ("00708001", "6200"),
        ("00700100", "6A86"),
        // Bytes that are no command of any length.
        ("80040000 03 0102", "6700"),
    ] {
        assert_eq!(send(&mut card, command), answer, "{command}");
        count += 1;
        assert_eq!(
            overheard(&mut card),
            format!("{count:02X}9000"),
            "{command}"
        );
    }
    // A part of a chain is not yet a command; what comes in its midst is one.
    assert_eq!(send(&mut card, "10040000 01 01"), "9000");
    assert_eq!(send(&mut card, "80010000 00"), "6883");
    count += 1;
    assert_eq!(overheard(&mut card), format!("{count:02X}9000"));
    assert_eq!(send(&mut card, "10040000 01 01"), "9000");
    assert_eq!(send(&mut card, "00040000 01 02 00"), "00000002029000");
    // What is left of an answer belongs to the command before.
    assert_eq!(send(&mut card, "80030010 04").len(), 2 * 6);
    assert_eq!(send(&mut card, "00C00000 0C").len(), 2 * 14);
    assert_eq!(overheard(&mut card), format!("{count:02X}9000"));
    // A class without a channel, a closed channel and another one are not this applet's.
    assert_eq!(send(&mut card, "FF040000"), "6E00");
    assert_eq!(send(&mut card, "05040000"), "6881");
    send(&mut card, "00700000 01");
    count += 1;
    send(&mut card, "01708001");
    assert_eq!(overheard(&mut card), format!("{count:02X}9000"));
}

#[test]
fn a_name_that_no_applet_has_goes_to_the_selected_applet() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "00A40400 05 AABBCCDDEE 00"), "6D00");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "000000640000009000",
        "still selected"
    );
}

#[test]
fn an_applet_that_refuses_its_selection_is_not_selected() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "00A4040C 06 F1010101010B"), "6985");
    assert_eq!(send(&mut card, "80010000 00"), "6999");
    assert_eq!(send(&mut card, "00A40400 05 AABBCCDDEE 00"), "6A82");
}

#[test]
fn a_refused_selection_leaves_nothing_in_transient_memory() {
    let mut card = card();
    for _ in 0..2 {
        assert_eq!(send(&mut card, "00A4040C 06 F1010101010A"), "6985");
        send(&mut card, "00A40400 06 F1010101010A");
        assert_eq!(send(&mut card, "80010000 00"), "000000640000009000");
    }
}

#[test]
fn a_deed_asked_for_in_a_fault_is_not_done() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "800A0000"), "6F00");
    assert_eq!(send(&mut card, "80010000 00"), "000000640000009000");
}

#[test]
fn ok_commits_and_an_error_rolls_back_all_but_latches_and_transients() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "80029000"), "9000");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "00000065 01 07 09 9000".replace(' ', "")
    );
    assert_eq!(send(&mut card, "80026985"), "6985");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "00000065 02 07 09 9000".replace(' ', "")
    );
}

#[test]
fn a_part_that_fails_rolls_back_alone() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "80080000"), "9000");
    assert_eq!(&send(&mut card, "80010000 00")[..8], "00000065");
}

#[test]
fn transient_memory_is_cleared_as_it_was_planned() {
    let mut card = with_first();
    send(&mut card, "80029000");
    // Another applet is selected on the channel: the one kind falls, the other stays.
    send(&mut card, "00A40400 06 F1010101010B");
    send(&mut card, "00A40400 06 F1010101010A");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "00000065 01 07 00 9000".replace(' ', "")
    );
    card.reset().unwrap();
    send(&mut card, "00A40400 06 F1010101010A");
    assert_eq!(
        send(&mut card, "80010000 00"),
        "00000065 01 00 00 9000".replace(' ', "")
    );
}

#[test]
fn every_channel_has_its_own_applet_and_transient_memory() {
    let mut card = with_first();
    for number in 1..20u8 {
        assert_eq!(send(&mut card, "00700000 01"), format!("{number:02X}9000"));
    }
    assert_eq!(send(&mut card, "00700000 01"), "6A81", "all are open");
    let class = |channel: u8| {
        if channel < 4 {
            channel
        } else {
            0x40 | (channel - 4)
        }
    };
    for channel in 0..20 {
        let cla = class(channel);
        assert_eq!(
            send(&mut card, &format!("{cla:02X}A40400 06 F1010101010A 00")),
            "70726F62659000"
        );
        let cla = cla | 0x80;
        assert!(send(&mut card, &format!("{cla:02X}010000 00")).ends_with("009000"));
        assert_eq!(send(&mut card, &format!("{cla:02X}029000")), "9000");
        assert!(send(&mut card, &format!("{cla:02X}010000 00")).ends_with("07099000"));
    }
    for channel in 1..20u8 {
        assert_eq!(send(&mut card, &format!("007080{channel:02X}")), "9000");
        assert_eq!(send(&mut card, &format!("007080{channel:02X}")), "6200");
        assert_eq!(
            send(
                &mut card,
                &format!("{:02X}010000 00", class(channel) | 0x80)
            ),
            "6881"
        );
    }
}

#[test]
fn a_channel_closes_itself_by_number_0() {
    let mut card = card();
    assert_eq!(send(&mut card, "00700000 01"), "019000");
    assert_eq!(
        send(&mut card, "00708000"),
        "6A81",
        "the basic one stays open"
    );
    assert_eq!(send(&mut card, "01708000"), "9000");
    assert_eq!(send(&mut card, "01708000"), "6881");
}

#[test]
fn every_p1_p2_of_manage_channel_opens_closes_or_is_refused() {
    let mut fresh = card();
    for p1 in 0..=255u8 {
        for p2 in 0..=255u8 {
            let mut card = fresh.fork();
            let got = send(&mut card, &format!("0070{p1:02X}{p2:02X} 01"));
            let want = match (p1, p2) {
                (0, 0) => "019000",
                (0, 1..20) => "9000",
                (0x80, 0) => "6A81",
                (0x80, 1..20) => "6200",
                _ => "6A86",
            };
            assert_eq!(got, want, "{p1:02X} {p2:02X}");
        }
    }
}

#[test]
fn chained_commands_arrive_as_one() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "10040000 02 0102"), "9000");
    assert_eq!(send(&mut card, "10040000 02 0304"), "9000");
    assert_eq!(send(&mut card, "00040000 01 05 00"), "00000005059000");
    // A chain that another command breaks is forgotten.
    assert_eq!(send(&mut card, "10040000 02 0102"), "9000");
    assert_eq!(send(&mut card, "80010000 00"), "6883");
    assert_eq!(send(&mut card, "00040000 01 05 00"), "00000001059000");
}

#[test]
fn extended_commands_and_long_answers_come_whole() {
    let mut card = with_first();
    let data = "5A".repeat(1000);
    assert_eq!(
        send(&mut card, &format!("00040000 0003E8 {data} 0000")),
        "000003E85A9000"
    );
    let long = send(&mut card, "80031000 000000");
    assert_eq!(long.len(), 2 * (0x1000 + 2));
    let first = send(&mut card, "80030180 00");
    assert_eq!((first.len(), &first[512..]), (516, "6180"));
    let rest = send(&mut card, "00C00000 80");
    assert_eq!((rest.len(), &rest[256..]), (260, "9000"));
    assert_eq!(
        first[..512].to_owned() + &rest[..256],
        long[..768],
        "the same bytes"
    );
}

#[test]
fn what_is_left_to_give_is_asked_for_next_or_lost() {
    let mut card = with_first();
    assert_eq!(send(&mut card, "00C00000 00"), "6F00");
    assert!(send(&mut card, "80030010 04").ends_with("610C"));
    assert_eq!(send(&mut card, "00C00000 10"), "6C0C");
    assert_eq!(send(&mut card, "00C00000 0C").len(), 28);
    assert!(send(&mut card, "80030010 04").ends_with("610C"));
    send(&mut card, "80010000 00");
    assert_eq!(send(&mut card, "00C00000 0C"), "6F00");
    assert_eq!(send(&mut card, "80030010"), "9000", "nothing was expected");
}

#[test]
fn a_foreign_object_is_a_fault_and_two_in_a_row_mute_the_card() {
    let mut card = with_first();
    let reference = send(&mut card, "80060100 00");
    let reference = &reference[..8];
    assert_eq!(
        send(&mut card, &format!("80050000 04 {reference} 00")),
        "6D696E659000"
    );
    send(&mut card, "00A40400 06 F1010101010B");
    assert_eq!(
        send(&mut card, &format!("80050000 04 {reference} 00")),
        "6F00"
    );
    assert_eq!(
        send(&mut card, "80010000 00"),
        "000000640000009000",
        "the card goes on"
    );
    assert_eq!(send(&mut card, "80050000 04 FFFFFFFF 00"), "6F00");
    assert_eq!(
        send(&mut card, "80050000 04 00000003 00"),
        "the card is mute until it is reset"
    );
    card.reset().unwrap();
    assert_eq!(
        send(&mut card, "80E60000 06 F1010101010A"),
        "6985",
        "the manager is selected"
    );
}

#[test]
fn calls_between_applets_go_one_way_and_run_in_the_servers_context() {
    let mut card = with_first();
    assert_eq!(
        send(&mut card, "80070000 06 F1010101010B 00"),
        "0A9000",
        "who calls"
    );
    assert_eq!(
        send(&mut card, "80070001 06 F1010101010B 00"),
        "6985",
        "no way back"
    );
    assert_eq!(
        send(&mut card, "80070000 06 F1010101010A 00"),
        "6985",
        "nor to oneself"
    );
    assert_eq!(send(&mut card, "80070000 06 F1010101010C 00"), "6A82");
    assert_eq!(send(&mut card, "80070002 06 F1010101010B 00"), "6A80");
    send(&mut card, "00A40400 06 F1010101010B");
    assert_eq!(
        &send(&mut card, "80010000 00")[..8],
        "00000065",
        "the good call alone counted"
    );
}

#[test]
fn an_installation_that_fails_leaves_nothing() {
    let mut card = card();
    let before = card.contents();
    assert_eq!(send(&mut card, "80E6EE00 06 F1010101010C"), "6A80");
    assert_eq!(
        send(&mut card, "80E60000 06 F1010101010A"),
        "6985",
        "the name is taken"
    );
    assert!(before == card.contents());
    assert_eq!(send(&mut card, "80E60000 06 F1010101010C"), "9000");
    assert_eq!(
        send(&mut card, "00A40400 06 F1010101010C 00"),
        "70726F62659000"
    );
}

#[test]
fn memory_that_is_full_is_6a84_and_loses_nothing() {
    let mut card = with_first();
    let mut objects = 0;
    while send(&mut card, "80061000 00").ends_with("9000") {
        objects += 1;
    }
    assert!(objects > 2);
    assert_eq!(send(&mut card, "80061000 00"), "6A84");
    assert_eq!(send(&mut card, "80029000"), "9000");
}

#[test]
fn a_locked_card_refuses_every_command_and_only_the_privileged_may_lock_it() {
    let mut card = with_first();
    assert_eq!(
        send(&mut card, "80090F00"),
        "6985",
        "a probe may not secure the card"
    );
    assert_eq!(send(&mut card, "80097F00"), "9000", "but it may lock it");
    for command in [
        "80010000 00",
        "00A40400 06 F1010101010A",
        "00",
        "20000000",
        "00700000 01",
    ] {
        assert_eq!(send(&mut card, command), "6A81");
    }
    card.power_on().unwrap();
    assert_eq!(send(&mut card, "80010000 00"), "6A81");
}

#[test]
fn the_life_cycle_of_the_card_goes_one_way() {
    let mut card = card();
    assert_eq!(send(&mut card, "80F00F00"), "9000");
    assert_eq!(send(&mut card, "80F00700"), "6985");
    assert_eq!(send(&mut card, "80F00F00"), "6985");
}

#[test]
fn a_locked_applet_is_not_found() {
    let mut card = card();
    assert_eq!(send(&mut card, "80F10100 06 F1010101010A"), "9000");
    assert_eq!(send(&mut card, "00A40400 06 F1010101010A"), "6D00");
    card.power_on().unwrap();
    assert_eq!(send(&mut card, "00A40400 06 F1010101010A"), "6D00");
    assert_eq!(send(&mut card, "80F10000 06 F1010101010A"), "9000");
    assert_eq!(
        send(&mut card, "00A40400 06 F1010101010A 00"),
        "70726F62659000"
    );
}

#[test]
fn the_atr_is_the_one_that_was_put() {
    let mut card = card();
    assert_eq!(card.reset().unwrap(), [0x3B, 0x00]);
    assert_eq!(send(&mut card, "80DA0000 04 3B6D0000"), "9000");
    assert_eq!(card.power_on().unwrap(), [0x3B, 0x6D, 0, 0]);
    assert_eq!(
        send(&mut card, &format!("80DA0000 22 {}", "00".repeat(34))),
        "6A80"
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_no_challenge_comes_twice() {
    let mut seen = std::collections::HashSet::new();
    let mut one = with_first();
    let mut other = with_first();
    for round in 0..200 {
        let challenge = send(&mut one, "80840000 08");
        assert_eq!(challenge, send(&mut other, "80840000 08"));
        assert!(seen.insert(challenge), "round {round}");
        if round % 10 == 0 {
            for card in [&mut one, &mut other] {
                card.power_on().unwrap();
                send(card, "00A40400 06 F1010101010A");
            }
        }
    }
}

#[test]
fn a_fork_goes_its_own_way_from_the_same_state() {
    let mut card = with_first();
    send(&mut card, "80029000");
    let mut fork = card.fork();
    assert_eq!(
        send(&mut card, "80010000 00"),
        send(&mut fork, "80010000 00")
    );
    send(&mut fork, "80029000");
    assert_eq!(&send(&mut card, "80010000 00")[..8], "00000065");
    assert_eq!(&send(&mut fork, "80010000 00")[..8], "00000066");
}

#[test]
fn a_card_opened_from_its_memory_is_the_same_card() {
    let mut card = with_first();
    send(&mut card, "80029000");
    let mut again = Card::open(&ROM, card.pages()).unwrap();
    again.power_on().unwrap();
    send(&mut again, "00A40400 06 F1010101010A");
    assert_eq!(
        send(&mut again, "80010000 00"),
        "00000065 01 00 00 9000".replace(' ', "")
    );
}

#[test]
fn power_cut_at_any_write_of_an_installation_leaves_all_of_it_or_nothing() {
    let mut fresh = card();
    let writes = |card: &mut Card, cut: Option<Cut>| {
        let before = card.writes();
        if let Some(cut) = cut {
            card.cut(cut);
        }
        let answer = send(card, "80E60000 06 F1010101010C");
        (answer, card.writes() - before)
    };
    let (answer, total) = writes(&mut fresh.fork(), None);
    assert_eq!(answer, "9000");
    assert!(total > 3);
    let before = fresh.contents();
    let mut whole = fresh.fork();
    writes(&mut whole, None);
    for after_writes in 0..total {
        for ending in Ending::ALL {
            let mut card = fresh.fork();
            let (answer, _) = writes(
                &mut card,
                Some(Cut {
                    after_writes,
                    ending,
                }),
            );
            assert_eq!(answer, "the card has no power");
            card.power_on().unwrap();
            let now = card.contents();
            assert!(
                now == before || now == whole.contents(),
                "cut after {after_writes}"
            );
        }
    }
}
