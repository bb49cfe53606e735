//! What payments with the bank applet cost in process, and RSA's share of them.
//!
//! Run with `cargo bench -p cardlab-applets --bench debit`; `BENCHMARKS.md` holds the
//! figures. Each bench sends whole payments, with the terminal's sums done before it is
//! timed or not at all.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/debit/support.rs"]
#[expect(dead_code, reason = "the applet's own tests use all of it")]
mod support;

use cardlab::crypto::RsaPrivate;
use cardlab::icc::Icc;
use divan::{Bencher, black_box};
use support::{Bench, Deal, RSA, Recipe, SELECT, VERIFY, bytes};

fn main() {
    divan::main();
}

/// An RSA key of 2048 bits: p, q, d mod p−1, d mod q−1, q⁻¹ mod p.
const RSA_2048: [&str; 5] = [
    "F612DF2C3109F6FB59191A70B24318DA639CD670DAC8B9E7364BDB9E577A9E61\
     908F2BC57C2B2570F86FA7E399C19978F7DF0E8CC03DBE1725AC786ABDEB858B\
     063B8AA1BA104EA9DB865D5D7861B842EBD1FAA3B1A1E73988824930AA44D2F9\
     D7483EFCEEDE27DC13BE12A5821A0F6F17D5D5F29AD053713EB2F2321FF2D975",
    "CF98AC58F1D7E638FA13D9C5A822B051982212A7847503484269889E8D1D99E4\
     AE6347FE0CEADF23F3B6125411D5EB68E8DD3E0BB789F95CB44014226F25F393\
     FA4E6571144A744E48F4FC2BC99A73BA38321AF47970A289409F3E4680EF943D\
     6A55C7B1781447661A65F3143EEDB02B5E75EA1ED1D644D7342C8BFCC1DA43D3",
    "5DE21D5B92EA265D0745589D1EA612D95F9FFB00DBB831955155E7D8A5AF96B5\
     CA9D9529A7921E9AD76E6233A7FA013FF1F21C6EFEF98F88ED4ABC369D773A60\
     2C649323D90557BDDE8F89179C524C26DC2A24E2476769FCBD6457E0455634D8\
     3596CED159A150BBDA9C6E28CF567A04FCA70D159E935502A3D54A2A6D9E0DF1",
    "122346BBA6B5B459BA0FCDF1251592CE2E3A9BE2A3020E3D5C00187DB1DAAA3D\
     7EB711ED3277BAF34B31D73C1D2AD19CA2EBE1A5E86D57AA2FDD8164D8CD3A10\
     EDC7B7B93F8A99CAD539026758FFF3A88B8C652A8309C249B7A9B2293ACEB3E7\
     01C968DF2A9CAAF852CA2188DD4EAB1BBEEF127B8ADDEBB9D9C7229BFCDBF31D",
    "671FB6A98D3F12A08AEF7B928A98FD092C84E451BC43EC10CBAB745AA3101568\
     3A0A68793F13D7E04BDABB2DAA5BC0074CDEA923CE6958A5BBEF789E9D14265D\
     1EE34F99CFD89E802F2559E2DB39ACEF32519BA16FB4BDB6D15AD92CF579EA0A\
     F25D63751DCF6A820226B31F70A2F4911CBECE94DDE97268D1762A21DC30F714",
];

/// A card that never refuses for having been off line too often.
fn card() -> Bench {
    let recipe = Recipe::new()
        .with("9F58", "FF")
        .with("9F54", "000000000000");
    Bench::cleaned(&recipe)
}

const DEAL: Deal = Deal::of(1);

fn options(deal: &Deal) -> String {
    format!("80A80000 0B 8309 {} 00", deal.pdol())
}

fn first(p1: u8, deal: &Deal) -> String {
    format!("80AE{p1:02X}00 34 {} 00", deal.cdol1())
}

const RECORDS: [&str; 8] = [
    "00B2010C 00",
    "00B2020C 00",
    "00B20114 00",
    "00B20214 00",
    "00B20314 00",
    "00B20414 00",
    "00B2011C 00",
    "00B2021C 00",
];

/// Sends these commands, each of which is answered with '9000', again and again. The
/// counter has room for 65,000 transactions; before it ends, the card begins anew.
fn each(bencher: Bencher<'_, '_>, commands: &[String]) {
    let commands: Vec<Vec<u8>> = commands.iter().map(|command| bytes(command)).collect();
    let mut fresh = card();
    let (mut bench, mut count) = (fresh.fork(), 0);
    let mut answer = Vec::with_capacity(300);
    bencher.bench_local(|| {
        count += 1;
        if count % 60_000 == 0 {
            bench = fresh.fork();
        }
        for command in &commands {
            bench.card.transmit(command, &mut answer).unwrap();
            assert_eq!(answer[answer.len() - 2..], [0x90, 0x00]);
        }
    });
}

fn transaction(rest: &[String]) -> Vec<String> {
    let mut commands = vec![SELECT.to_owned(), options(&DEAL)];
    commands.extend(RECORDS.map(str::to_owned));
    commands.extend_from_slice(rest);
    commands
}

#[divan::bench]
fn options_and_records(bencher: Bencher<'_, '_>) {
    each(bencher, &transaction(&[]));
}

#[divan::bench]
fn off_line_without_rsa(bencher: Bencher<'_, '_>) {
    each(
        bencher,
        &transaction(&[VERIFY.to_owned(), first(0x40, &DEAL)]),
    );
}

#[divan::bench]
fn off_line_with_cda(bencher: Bencher<'_, '_>) {
    each(
        bencher,
        &transaction(&[VERIFY.to_owned(), first(0x50, &DEAL)]),
    );
}

#[divan::bench]
fn off_line_with_dda(bencher: Bencher<'_, '_>) {
    let prove = "00880000 04 01020304 00".to_owned();
    each(
        bencher,
        &transaction(&[prove, VERIFY.to_owned(), first(0x40, &DEAL)]),
    );
}

/// The host's answer is made in the time that is measured.
#[divan::bench]
fn on_line(bencher: Bencher<'_, '_>) {
    let mut fresh = card();
    let (mut bench, mut count) = (fresh.fork(), 0);
    bencher.bench_local(|| {
        count += 1;
        if count % 60_000 == 0 {
            bench = fresh.fork();
        }
        bench.begin(&DEAL);
        for record in RECORDS {
            bench.ok(record);
        }
        bench.ok(VERIFY);
        bench.first(0x80, &DEAL);
        assert_eq!(bench.authenticate("3030").0, 0x9000);
        bench.second(0x40, "3030", &DEAL);
    });
}

fn private(bencher: Bencher<'_, '_>, parts: [&str; 5]) {
    let [p, q, dp, dq, q_inverse] = parts.map(bytes);
    let message = vec![0x6A; 2 * p.len()];
    // As the card does it: the key is made of its numbers each time.
    bencher.bench(|| {
        let key = RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).unwrap();
        key.apply(black_box(&message)).unwrap()
    });
}

#[divan::bench]
fn rsa_1024_private(bencher: Bencher<'_, '_>) {
    private(bencher, RSA);
}

#[divan::bench]
fn rsa_2048_private(bencher: Bencher<'_, '_>) {
    private(bencher, RSA_2048);
}
