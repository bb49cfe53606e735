//! A response APDU as a value: data and status word.
//!
//! Source: ISO/IEC 7816-3:2006, 12.1.2; ISO/IEC 7816-4:2020, 5.3.4.

use super::Sw;

/// One response, its data borrowed from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The data field.
    pub data: &'a [u8],
    /// The status word.
    pub sw: Sw,
}

impl<'a> Response<'a> {
    /// Splits the last two bytes off; `None` where there are fewer than two.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Response<'a>> {
        let (data, &[sw1, sw2]) = bytes.split_last_chunk()?;
        Some(Response {
            data,
            sw: Sw(u16::from_be_bytes([sw1, sw2])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Response, Sw};

    #[test]
    fn a_response_ends_in_its_status_word() {
        assert_eq!(Response::parse(&[]), None);
        assert_eq!(Response::parse(&[0x90]), None);
        assert_eq!(
            Response::parse(&[0x90, 0]),
            Some(Response {
                data: &[],
                sw: Sw::OK
            })
        );
        assert_eq!(Response::parse(&[1, 0x6A, 0x82]).unwrap().data, [1]);
    }
}
