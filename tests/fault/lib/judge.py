"""Tells from the raw bytes that a program wrote to a terminal or a pipe whether anything in them could drive the terminal that is not the program's own."""
import re

# What the program itself sends: colours, moves, erasing, modes; with numbers only, and no string but the clipboard's on request.
OURS = re.compile(rb"\x1b(\[[0-9;:]*[A-HJKLMPSTXZ@`abdefghlmrst]|\[\?[0-9;]*[hluc]|\[[<>=?]?[0-9;]*[umpq]|\[[0-9;]* q|[()][0-9A-B]|[=>78MH]|\[![p])")
FORBIDDEN = {
    "an escape that is not ours": re.compile(rb"\x1b"),
    "a raw C1 byte outside a character": None,
    "another control": re.compile(rb"[\x00-\x06\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"),
}
MARKS = [0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069, 0x200E, 0x200F, 0x2028, 0x2029, 0x200B, 0xFEFF]


def wrong(raw, own=True, carriage=True, pipe=False, shift=False):
    """what in the bytes could drive a terminal and is not the program's own"""
    found = []
    rest = OURS.sub(b"", raw) if own else raw
    rest = rest.replace(b"\x0f", b"") if shift else rest  # how a vt100 leaves its line drawing characters
    rest = rest.replace(b"\x7f", b"") if pipe else rest
    for name, pattern in FORBIDDEN.items():
        m = pattern and pattern.search(rest)
        if m:
            found.append(f"{name}: {rest[max(0, m.start() - 20):m.start() + 20]!r}")
    if re.search(rb"\x1b\[5;8m|\x1b\][^\x07\x1b]*owned|\x1b\]52|\x1b\]0;|\x1b\]8;|\x1bP|\x1b_|\x1b\^|\x1b\[2J\x1b\[31m", raw):
        found.append("a string sequence of the model's")
    text = rest.decode("utf-8", "surrogateescape")
    for c in text:
        n = ord(c)
        if 0x80 <= n <= 0x9F or (not pipe and (n in MARKS or 0xE0000 <= n <= 0xE007F)) or 0xDC80 <= n <= 0xDC9F:
            found.append(f"U+{n:04X}")
            break
    if not carriage and b"\r" in rest:
        found.append("a carriage return")
    return "\n".join(found)


