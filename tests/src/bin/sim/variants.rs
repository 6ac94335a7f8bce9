//! The table of broken variants: each has to be noticed, and soon.

use unisono::testing::sim::Broken;
use unisono_tests::sim::first_to_notice;

/// Seeds within which a broken variant has to be noticed.
const MOST: u64 = 500;

/// Prints the table; `true` if every variant was noticed.
pub fn table() -> bool {
    // A panic fails its run, which tells of it.
    std::panic::set_hook(Box::new(|_| {}));
    println!("| variant | seeds | what was noticed |\n|---|---|---|");
    let mut all = true;
    for broken in Broken::ALL {
        match first_to_notice(broken, MOST) {
            Some((seeds, violation)) => {
                let what: String = violation.what.chars().take(110).collect();
                println!("| {broken} | {seeds} | {}: {what} |", violation.invariant);
            }
            None => {
                println!("| {broken} | not within {MOST} | |");
                all = false;
            }
        }
    }
    drop(std::panic::take_hook());
    all
}
