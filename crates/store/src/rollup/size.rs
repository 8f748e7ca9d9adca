//! Times as sizes: four to an octave, so that a count of each tells percentiles that are at most 9 % off.
//!
//! PostgreSQL has a twin of [`size_of`], `counterfoil_size`.

/// Less than a millisecond.
const LEAST: i16 = -4;

/// Nobody knows how long it took.
pub(crate) const UNKNOWN: i16 = -100;

/// The size of a time in milliseconds.
pub(crate) fn size_of(ms: Option<i64>) -> i16 {
    let Some(ms) = ms else {
        return UNKNOWN;
    };
    if ms < 1 {
        return LEAST;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a size says less than 53 bits do"
    )]
    let exact = 4.0 * (ms as f64).ln() / std::f64::consts::LN_2;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 252")]
    let size = exact.round() as i16;
    size
}

/// What a size stands for, in milliseconds; `None` for what is not known.
pub(crate) fn ms_of(size: i16) -> Option<f64> {
    (size != UNKNOWN).then(|| (f64::from(size) / 4.0).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_at_most_nine_percent_off() {
        let mut ms: i64 = 1;
        while ms < i64::MAX / 2 {
            let told = ms_of(size_of(Some(ms))).expect("known");
            #[expect(clippy::cast_precision_loss, reason = "far coarser")]
            let off = (told / ms as f64).ln().abs();
            assert!(off <= 1.0905_f64.ln(), "{ms} ms is told as {told}");
            ms += 1 + ms / 17;
        }
    }

    #[test]
    fn sizes_grow_with_the_time() {
        let times = [
            None,
            Some(-5),
            Some(0),
            Some(1),
            Some(2),
            Some(3),
            Some(1000),
        ];
        let sizes = times.map(size_of);
        assert_eq!(sizes, [UNKNOWN, LEAST, LEAST, 0, 4, 6, 40]);
        assert_eq!(size_of(Some(i64::MAX)), 252);
        assert_eq!(ms_of(LEAST), Some(0.5));
        assert_eq!(ms_of(UNKNOWN), None);
    }
}
