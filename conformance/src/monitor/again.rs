//! The same conversation once more with a card in the same state. M11.
//!
//! A card of which there is only one cannot be asked; see
//! [`Subject::repeats`](crate::subject::Subject::repeats).

use super::catalogue::M11;
use super::{Findings, Violation};
use crate::case::PowerStep;
use crate::record::Record;
use cardlab::icc::{Icc, Lost};

/// Repeats a conversation with a card without power; where its answers differ first.
///
/// # Errors
/// [`Lost`] where there is no ATR.
pub(crate) fn repeat(card: &mut dyn Icc, record: &Record) -> Result<Option<Violation>, Lost> {
    let mut powers = record.powers.iter().peekable();
    let mut found = Findings::default();
    let mut response = Vec::new();
    card.power_on()?;
    for (index, exchange) in record.trace.iter().enumerate() {
        while let Some((_, power)) = powers.next_if(|(at, _)| *at == index) {
            match power {
                PowerStep::Cycle => {
                    card.power_off();
                    card.power_on()?;
                }
                PowerStep::Reset => {
                    card.reset()?;
                }
            }
        }
        // One that is lost is lost both times: its answer is empty.
        if card.transmit(&exchange.command, &mut response).is_err() {
            response.clear();
        }
        found.exchange = index + 1;
        if response != exchange.response {
            let [before, again] = [&exchange.response, &response].map(hex::encode_upper);
            found.add(&M11, || format!("{before}, and {again} the second time"));
            break;
        }
    }
    Ok(found.all.pop())
}
