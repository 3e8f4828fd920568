"""HTTP of the opening handshake as the tests read it, and text that should not be in it."""

from hypothesis import strategies as st

WEIRD_TEXT = [
    "xn--", "xn--a", "xn--\x80", "xn--999999999999999999", "xn--zzzzzzzzz99999", "a..b", ".", "..", "a" * 64, "a" * 300, "[::1",
    "]", "a:b:c", "\xff", "\xad.com", "\u20ac", "\ud800", "a b", " a", "a ", "a\tb", "a\r\nX: y", "a\nb", "\0", "\x7f", "\xa0",
    "",
]  # fmt: skip
ODD_TEXT = st.text(max_size=30) | st.text(st.characters(max_codepoint=255), max_size=80) | st.sampled_from(WEIRD_TEXT)


def http_fields(data):
    """Start line and headers of an HTTP message."""
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end and not rest
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines[1:]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header twice"
    return lines[0], {name.lower(): value for name, value in pairs}
