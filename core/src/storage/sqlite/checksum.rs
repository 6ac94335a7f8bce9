//! A row's checksum, stored beside it: what the medium changes behind SQLite's back is found when the row is read, and not
//! taken for the app's data. Replicas and the server's database share it.

/// Odd, so that multiplying by it loses nothing.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The checksum of a row. Part of the file format. Every step can be undone, so that no change within one word goes
/// unnoticed; any other one does with a chance of 2^-64. It is no protection against malice.
#[must_use]
pub fn of(key: &[u8], value: &[u8]) -> i64 {
    let sum = absorb(absorb(0, key), value);
    i64::from_ne_bytes(sum.to_ne_bytes())
}

fn absorb(mut sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = mix(sum, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    sum = mix(sum, u64::from_le_bytes(last));
    // So that zeros at the end, and bytes that move from the key to the value, show.
    mix(sum, bytes.len() as u64)
}

fn mix(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(MULTIPLIER);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_kept() {
        assert_eq!(of(b"", b""), 0);
        assert_eq!(of(b"key", b"value"), -1_972_629_959_532_658_266);
    }

    #[test]
    fn every_flipped_bit_shows_and_so_does_every_shift() {
        let (key, value) = (b"user\0samples".to_vec(), (0..100).collect::<Vec<u8>>());
        let sum = of(&key, &value);
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&key, &flipped), sum, "bit {bit}");
        }
        for bit in 0..key.len() * 8 {
            let mut flipped = key.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&flipped, &value), sum, "bit {bit} of the key");
        }
        assert_ne!(of(&key[..4], &[&key[4..], &value].concat()), sum);
        assert_ne!(of(&key, &[&value[..], &[0]].concat()), sum);
        assert_ne!(of(&key, &value[..99]), sum);
    }
}
