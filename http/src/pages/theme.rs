//! A tenant's colour, made readable: text on it, links in it, in the light and in the dark.
//! WCAG 2.2 §1.4.3 asks for a contrast of 4.5 to 1.

use std::fmt;

/// The contrast that text needs.
const ENOUGH: f64 = 4.5;

/// What links stand on: by day and by night, as in `pages.css`.
const PAPER: Colour = Colour(0xff, 0xff, 0xff);
const NIGHT: Colour = Colour(0x1a, 0x1d, 0x24);

/// What stands on a button.
const WHITE: Colour = Colour(0xff, 0xff, 0xff);
const INK: Colour = Colour(0, 0, 0);

/// A colour of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(u8, u8, u8);

impl Colour {
    /// The colour of six hexadecimal digits.
    pub fn of_digits(digits: &str) -> Option<Self> {
        let formed = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| formed)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self(red, green, blue))
    }

    /// Its relative luminance (WCAG 2.2, "relative luminance").
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// The contrast ratio of two colours, from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |from: u8, to: u8| {
            (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u8
        };
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// The colour itself or, where it could not be read on `ground`, the next one towards `towards`
    /// that can.
    fn readable_on(self, ground: Self, towards: Self) -> Self {
        let shades = (0..=50).map(|step| self.mixed(towards, f64::from(step) / 50.0));
        shades.into_iter().find(|shade| shade.contrast(ground) >= ENOUGH).unwrap_or(towards)
    }

    /// What can be read on it.
    fn ink(self) -> Self {
        if self.contrast(WHITE) >= ENOUGH { WHITE } else { INK }
    }

    /// The style sheet that dresses the pages in it.
    pub fn style_sheet(self) -> String {
        let rules = |link: Self| {
            format!(":root{{--accent:{self};--on-accent:{};--link:{link}}}", self.ink())
        };
        let (day, night) = (self.readable_on(PAPER, INK), self.readable_on(NIGHT, WHITE));
        format!("{}@media (prefers-color-scheme:dark){{{}}}\n", rules(day), rules(night))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_colour_everything_can_be_read() {
        for digits in
            ["000000", "ffffff", "ffff00", "ff0000", "808080", "2f5bd8", "777777", "00ff00"]
        {
            let colour = Colour::of_digits(digits).unwrap();
            assert!(colour.contrast(colour.ink()) >= ENOUGH, "{digits}");
            assert!(colour.readable_on(PAPER, INK).contrast(PAPER) >= ENOUGH, "{digits}");
            assert!(colour.readable_on(NIGHT, WHITE).contrast(NIGHT) >= ENOUGH, "{digits}");
        }
    }

    #[test]
    fn black_on_white_is_twenty_one_to_one() {
        assert!((Colour(0, 0, 0).contrast(WHITE) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn a_colour_that_can_be_read_stays_as_it_is() {
        let blue = Colour::of_digits("2f5bd8").unwrap();
        assert!(
            blue.style_sheet()
                .starts_with(":root{--accent:#2f5bd8;--on-accent:#ffffff;--link:#2f5bd8}")
        );
        assert_eq!(Colour::of_digits("2f5bd"), None);
        assert_eq!(Colour::of_digits("+f5bd8"), None);
    }
}
