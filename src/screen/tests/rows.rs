//! Rows to scroll through.

use super::*;

#[test]
fn rows_are_counted_from_the_oldest() {
    let all = fed(10, 3, "zero\r\none\r\n\x1b[31mtwo\x1b[m 漢\r\nthree is long\r\n").into_rows();
    let count = all.count();
    let rows: Vec<String> = (0..count).map(|index| all.text(index).text).collect();
    assert_eq!(rows, ["zero", "one", "two 漢", "three is l", "ong"]);
    assert!(all.text(3).continues && !all.text(4).continues);
    assert_eq!(all.text(2).columns, [0, 1, 2, 3, 4]);
    assert_eq!(all.text(99).text, "");
}

#[test]
fn rows_are_painted_with_what_is_marked() {
    let all = fed(10, 3, "a\x1b[31mred\x1b[m 漢").into_rows();
    assert_eq!(all.paint(0, 10, &[]), "a\x1b[31mred\x1b[39m 漢".as_bytes());
    assert_eq!(all.paint(0, 6, std::slice::from_ref(&(1..3))), b"a\x1b[7;31mre\x1b[0;31md\x1b[39m  ");
    assert_eq!(all.paint(0, 10, std::slice::from_ref(&(8..9))), "a\x1b[31mred\x1b[39m 漢 \x1b[7m \x1b[m".as_bytes());
    assert_eq!(all.paint(1, 10, &[]), b"");
}
