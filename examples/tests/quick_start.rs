//! What the README shows is what compiles.

const README: &str = include_str!("../../README.md");
const PROGRAM: &str = include_str!("../src/bin/quickstart.rs");

#[test]
fn the_quick_start_in_the_readme_is_the_program() {
    let shown = README.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let program: Vec<_> = PROGRAM.lines().skip_while(|line| line.starts_with("//!") || line.is_empty()).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), program);
}
