//! The file system under an applet that guards nothing, against a list of records.

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, Ctx, Install, Module, Outcome, Plan, Reply, Rom};
use cardlab::files::{
    Area, FID_MF, File, Files, Intent, NewDirectory, Record, Reference, Rules, Selected, Span,
};
use cardlab::icc::Icc;
use cardlab::os::Card;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

/// All of the file system and no rule.
struct Free {
    files: Files,
}

impl Free {
    fn open(&self, ctx: &Ctx<'_>, area: &Area, reference: Reference) -> Result<(File, Area), Sw> {
        let file = self.files.file(ctx, area, reference)?;
        Ok((file, file.area(area, reference)))
    }
}

impl Applet for Free {
    fn select(&self, _: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        if command.ins == 0x01 {
            let root = NewDirectory {
                fid: FID_MF,
                name: None,
                proprietary: &[],
                rules: Rules::ABSENT,
            };
            self.files.install(ctx, &root)?;
            return Ok(Reply::OK);
        }
        let mut area = self.files.area(ctx);
        match Intent::try_from(command)? {
            Intent::Select {
                target, occurrence, ..
            } => {
                let selected = self.files.select(ctx, &area, target, occurrence, true)?;
                if let Selected::Directory(directory) = selected {
                    directory.answer_fci(ctx);
                }
                area = selected.area(ctx, &area);
            }
            Intent::ReadBinary { file, offset } => {
                let (file, found) = self.open(ctx, &area, file)?;
                let len = u32::from(file.bytes_from(offset)?).min(command.ne);
                file.answer_binary(ctx, offset, len);
                area = found;
            }
            Intent::UpdateBinary {
                file,
                offset,
                bytes,
            } => {
                let (file, found) = self.open(ctx, &area, file)?;
                file.update_binary(ctx, offset, bytes)?;
                area = found;
            }
            Intent::ReadRecord { file, span } => {
                let (file, found) = self.open(ctx, &area, file)?;
                let records = file.find_records(ctx, span, found.record(), command.ne)?;
                file.answer_records(ctx, &records);
                area = found;
                area.set_record(records.current());
            }
            Intent::UpdateRecord {
                file,
                record,
                bytes,
            } => {
                let (file, found) = self.open(ctx, &area, file)?;
                let current = file.update_record(ctx, record, found.record(), bytes)?;
                area = found;
                area.set_record(current);
            }
            Intent::CreateDirectory(new) => {
                area = self.files.create_directory(ctx, &area, &new)?;
            }
            Intent::CreateFile(new) => area = self.files.create_file(ctx, &area, &new)?,
            Intent::Activate => {}
        }
        self.files.set_area(ctx, &area);
        Ok(Reply::OK)
    }
}

impl Install for Free {
    fn attach(plan: &mut Plan) -> Free {
        Free {
            files: Files::attach(plan),
        }
    }

    fn install(&self, _: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
        Ok(())
    }
}

const AID: Aid = Aid::constant(&[0xF0, 0, 0, 0, 2]);
static ROM: Rom = Rom {
    issuer_domain: Module::of::<Free>(AID, AID),
    modules: &[],
};

fn card() -> Card {
    let mut card = Card::manufacture(&ROM, 7);
    card.power_on().expect("a new card starts");
    assert_eq!(send(&mut card, "80010000").1, Sw::OK);
    card
}

fn send(card: &mut Card, command: &str) -> (Vec<u8>, Sw) {
    let command = hex::decode(command.replace(' ', "")).expect("hexadecimal digits");
    let mut answer = Vec::new();
    card.transmit(&command, &mut answer)
        .expect("the card answers");
    let sw = answer.split_off(answer.len() - 2);
    (answer, Sw(u16::from_be_bytes([sw[0], sw[1]])))
}

#[test]
fn the_ways_of_select_that_only_iso_knows_work_too() {
    let mut card = card();
    for command in [
        "00E00000 09 6207 820138 8302DF01",
        "00E00000 0D 620B 820101 8302EF05 80020010",
        "00A40300 00",
        "00A40100 02 DF01 00",
        "00A40200 02 EF05",
        "00B00000 10",
        "00A40300 00",
        "00A40100 02 DF01 00",
    ] {
        assert_eq!(send(&mut card, command).1, Sw::OK, "{command}");
    }
    assert_eq!(
        send(&mut card, "00A40300 00"),
        (vec![0x6F, 4, 0x83, 2, 0x3F, 0], Sw::OK)
    );
    assert_eq!(
        send(&mut card, "00A40300 00").1,
        Sw::FILE_NOT_FOUND,
        "above the MF"
    );
    assert_eq!(send(&mut card, "00A40100 02 EF05").1, Sw::FILE_NOT_FOUND);
}

#[derive(Clone, Debug)]
enum Step {
    Read(Span),
    Write(Record, Vec<u8>),
}

fn record() -> impl Strategy<Value = Record> {
    use cardlab::files::Occurrence::{First, Last, Next, Previous};
    let occurrence = prop::sample::select(vec![First, Last, Next, Previous]);
    prop_oneof![
        1 => prop::strategy::Just(Record::Current),
        4 => (1..10u8).prop_map(Record::Number),
        4 => (0..5u8, occurrence)
            .prop_map(|(identifier, occurrence)| Record::Identified { identifier, occurrence }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop::collection::vec(any::<u8>(), 0..12);
    let value = (1..5u8, value).prop_map(|(tag, value)| {
        let mut record = vec![tag, u8::try_from(value.len()).expect("short")];
        record.extend(value);
        record
    });
    let step = prop_oneof![
        record().prop_map(|record| Step::Read(Span::One(record))),
        record().prop_map(|record| Step::Read(Span::From(record))),
        record().prop_map(|record| Step::Read(Span::DownTo(record))),
        (record(), value.clone()).prop_map(|(record, value)| Step::Write(record, value)),
        (record(), value).prop_map(|(record, mut value)| {
            value.resize(6, 0);
            value[1] = 4;
            Step::Write(record, value)
        }),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Fixed,
    Variable,
    Cyclic,
}

const ROOM: usize = 48;
const SLOTS: usize = 5;
const SLOT: usize = 6;

/// An EF as a list of records.
struct Model {
    kind: Kind,
    records: Vec<Vec<u8>>,
    current: usize,
}

impl Model {
    /// The index of a record.
    fn find(&self, record: Record) -> Option<usize> {
        use cardlab::files::Occurrence::{First, Last, Next, Previous};
        let (identifier, occurrence) = match record {
            Record::Current => return self.current.checked_sub(1),
            Record::Number(number) => {
                let index = usize::from(number) - 1;
                return (index < self.records.len()).then_some(index);
            }
            Record::Identified {
                identifier,
                occurrence,
            } => (identifier, occurrence),
        };
        let those = || {
            (0..self.records.len()).filter(|&index| {
                identifier == 0
                    || (self.kind != Kind::Cyclic && self.records[index][0] == identifier)
            })
        };
        match occurrence {
            First => those().next(),
            Last => those().next_back(),
            Next => those().find(|&index| index + 1 > self.current),
            Previous if self.current == 0 => those().next_back(),
            Previous => those().rfind(|&index| index + 1 < self.current),
        }
    }

    fn move_to(&mut self, record: Record, index: usize) {
        if matches!(record, Record::Identified { .. }) {
            self.current = index + 1;
        }
    }

    fn read(&mut self, span: Span) -> (Vec<u8>, Sw) {
        let (Span::One(record) | Span::From(record) | Span::DownTo(record)) = span;
        let Some(index) = self.find(record) else {
            return (Vec::new(), Sw::RECORD_NOT_FOUND);
        };
        self.move_to(record, index);
        let data = match span {
            Span::One(_) => self.records[index].clone(),
            Span::From(_) => self.records[index..].concat(),
            Span::DownTo(_) => self.records[index..]
                .iter()
                .rev()
                .flatten()
                .copied()
                .collect(),
        };
        (data, Sw::OK)
    }

    fn write(&mut self, record: Record, value: &[u8]) -> Sw {
        use cardlab::files::Occurrence::Previous;
        if self.kind != Kind::Variable && value.len() != SLOT {
            return Sw::WRONG_LENGTH;
        }
        if self.kind == Kind::Cyclic
            && record
                == (Record::Identified {
                    identifier: 0,
                    occurrence: Previous,
                })
        {
            self.records.insert(0, value.to_vec());
            self.records.truncate(SLOTS);
            self.current = 1;
            return Sw::OK;
        }
        if let Record::Identified {
            identifier: 1.., ..
        } = record
            && self.kind != Kind::Cyclic
            && !matches!(record, Record::Identified { identifier, .. } if identifier == value[0])
        {
            return Sw::NC_INCONSISTENT_WITH_TLV;
        }
        let used: usize = self.records.iter().map(Vec::len).sum();
        if let Some(index) = self.find(record) {
            if self.kind == Kind::Variable {
                if self.records[index][0] != value[0] {
                    return Sw::NC_INCONSISTENT_WITH_TLV;
                }
                if used - self.records[index].len() + value.len() > ROOM {
                    return Sw::NOT_ENOUGH_MEMORY;
                }
            }
            self.records[index] = value.to_vec();
            self.move_to(record, index);
            return Sw::OK;
        }
        let appends = match record {
            Record::Current => false,
            Record::Number(number) => usize::from(number) == self.records.len() + 1,
            Record::Identified { identifier, .. } => identifier != 0,
        };
        if !appends || self.kind == Kind::Cyclic {
            return Sw::RECORD_NOT_FOUND;
        }
        let fits = match self.kind {
            Kind::Variable => used + value.len() <= ROOM,
            _ => self.records.len() < SLOTS,
        };
        if !fits {
            return Sw::NOT_ENOUGH_MEMORY;
        }
        self.records.push(value.to_vec());
        self.move_to(record, self.records.len() - 1);
        Sw::OK
    }
}

/// P1 and P2 of a record command for the current EF.
fn parameters(span: Span) -> (u8, u8) {
    let (Span::One(record) | Span::From(record) | Span::DownTo(record)) = span;
    let p1 = match record {
        Record::Current => 0,
        Record::Number(number) => number,
        Record::Identified { identifier, .. } => identifier,
    };
    let mode = match (span, record) {
        (Span::One(_), Record::Identified { occurrence, .. }) => occurrence as u8,
        (Span::One(_), _) => 4,
        (Span::From(_), _) => 5,
        (Span::DownTo(_), _) => 6,
    };
    (p1, mode)
}

proptest! {
    #[test]
    fn record_files_are_lists_of_records(
        kind in prop::sample::select(vec![Kind::Fixed, Kind::Variable, Kind::Cyclic]),
        steps in steps(),
    ) {
        let mut card = card();
        let create = match kind {
            Kind::Fixed => "00E00000 0D 620B 82050201000605 8302EF05",
            Kind::Variable => "00E00000 11 620F 82050401000005 8302EF05 80020030",
            Kind::Cyclic => "00E00000 0D 620B 82050601000605 8302EF05",
        };
        assert_eq!(send(&mut card, create).1, Sw::OK);
        let mut model = Model { kind, records: Vec::new(), current: 0 };
        for step in steps {
            match step {
                Step::Read(span) => {
                    // The modes "from" and "down to" know numbers only.
                    let span = match span {
                        Span::From(Record::Identified { identifier, .. })
                        | Span::DownTo(Record::Identified { identifier, .. }) => {
                            Span::From(match identifier {
                                0 => Record::Current,
                                number => Record::Number(number),
                            })
                        }
                        span => span,
                    };
                    let (p1, p2) = parameters(span);
                    let answer = send(&mut card, &format!("00B2{p1:02X}{p2:02X}00"));
                    assert_eq!(answer, model.read(span), "{span:?}");
                }
                Step::Write(record, value) => {
                    let (p1, p2) = parameters(Span::One(record));
                    let len = value.len();
                    let value_hex = hex::encode(&value);
                    let command = format!("00DC{p1:02X}{p2:02X}{len:02X}{value_hex}");
                    let sw = send(&mut card, &command).1;
                    assert_eq!(sw, model.write(record, &value), "{record:?} {value:02X?}");
                }
            }
        }
    }
}
