//! Numbers that carry their own check: of card and citizen, region, date.
//!
//! Real cards with wrong ones are about; what reads a card should show them, and
//! only what makes a card refuse them.
//!
//! Source: 人社信息函〔2012〕37号, 卡号 and 社会保障号码; GB 11643-1999 (citizen number);
//! GB/T 2260 (regions); ISO/IEC 7812-1:2017, annex B (account number).

/// The check character of a card number: of its first 8 characters, digits and
/// capital letters; `None` for other characters.
#[must_use]
pub fn card_number_check(body: [u8; 8]) -> Option<char> {
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let mut sum = 0;
    for (character, weight) in body.into_iter().zip(WEIGHTS) {
        let value = match character {
            b'0'..=b'9' => character - b'0',
            b'A'..=b'Z' => character - b'A' + 10,
            _ => return None,
        };
        sum += u32::from(value) * weight;
    }
    match 11 - sum % 11 {
        10 => Some('X'),
        11 => Some('0'),
        digit => char::from_digit(digit, 10),
    }
}

/// The check character that a card number of 9 characters should end in, where
/// that is another than it does; or `None` for a good one. `Some(None)` where it
/// is not 8 digits or capital letters and one more.
#[must_use]
pub fn card_number_fault(number: &str) -> Option<Option<char>> {
    let [body @ .., last] = number.as_bytes() else {
        return Some(None);
    };
    let Some(check) = body.try_into().ok().and_then(card_number_check) else {
        return Some(None);
    };
    (check != char::from(*last)).then_some(Some(check))
}

/// The check character of a citizen number: of its first 17 digits.
#[must_use]
pub fn citizen_number_check(body: [u8; 17]) -> Option<char> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];
    let mut sum = 0;
    for (digit, weight) in body.into_iter().zip(WEIGHTS) {
        sum += char::from(digit).to_digit(10)? * weight;
    }
    CHECKS.get(usize::try_from(sum % 11).ok()?).copied()
}

/// The check digit of an account number: of its other digits, up to 18.
///
/// `None` for other characters.
#[must_use]
pub fn account_check(body: &str) -> Option<char> {
    let mut sum = 0;
    for (index, digit) in body.chars().rev().enumerate() {
        let digit = digit.to_digit(10)?;
        sum += match (index % 2, 2 * digit) {
            (1, _) => digit,
            (_, double @ 10..) => double - 9,
            (_, double) => double,
        };
    }
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// Whether six digits are a region code: whether their first two name a province.
#[must_use]
pub fn is_region(digits: &str) -> bool {
    let province = digits.get(..2).and_then(|digits| digits.parse().ok());
    digits.len() == 6
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && matches!(
            province,
            Some(11..=15u8 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81 | 82)
        )
}

/// Whether eight digits are a date, year, month, day.
#[must_use]
pub fn is_date(digits: &str) -> bool {
    let number = |range: core::ops::Range<usize>| {
        digits.get(range).and_then(|part| part.parse::<u16>().ok())
    };
    if digits.len() != 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(4..6), number(6..8)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::{account_check, card_number_fault, citizen_number_check, is_date, is_region};

    #[test]
    fn the_card_numbers_of_the_specification_check() {
        for number in ["D2143569X", "B00000131", "X00000019"] {
            assert_eq!(card_number_fault(number), None, "{number}");
        }
        assert_eq!(card_number_fault("D21435690"), Some(Some('X')));
        for number in ["", "D2143569", "d2143569X", "卡号卡", "D2143569XX"] {
            assert_eq!(card_number_fault(number), Some(None), "{number}");
        }
    }

    #[test]
    fn a_wrong_character_in_a_card_number_shows() {
        let good = *b"B00000131";
        for at in 0..8 {
            for other in b'0'..=b'9' {
                let mut bad = good;
                bad[at] = other;
                let fault = card_number_fault(core::str::from_utf8(&bad).unwrap());
                let difference = good[at].abs_diff(other);
                assert!(at == 0 || fault.is_some() == (difference != 0), "{bad:?}");
            }
        }
    }

    #[test]
    fn the_check_of_a_citizen_number_is_that_of_the_standard() {
        assert_eq!(citizen_number_check(*b"11010519491231002"), Some('X'));
        assert_eq!(citizen_number_check(*b"44052418800101001"), Some('4'));
        assert_eq!(citizen_number_check(*b"1101051949123100X"), None);
    }

    #[test]
    fn the_check_of_an_account_number_is_that_of_the_standard() {
        assert_eq!(account_check("1789372997"), Some('4'));
        assert_eq!(account_check("7992739871"), Some('3'));
        assert_eq!(account_check("62280O"), None);
    }

    #[test]
    fn regions_and_dates_are_told_from_other_digits() {
        assert!(is_region("411600") && is_region("519900"));
        assert!(!is_region("990000") && !is_region("4116") && !is_region("4116000"));
        assert!(is_date("20240229") && is_date("20001231"));
        for no in [
            "20230229", "19000229", "20241301", "20240431", "2024022", "2024-2-9",
        ] {
            assert!(!is_date(no), "{no}");
        }
    }
}
