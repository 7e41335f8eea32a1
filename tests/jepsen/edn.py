"""edn.py -- EDN, the notation of Clojure's tools: written for Knossos and Elle, read back for our tests.

https://github.com/edn-format/edn.  Only what histories need: no tags, no characters, no symbols."""

import re

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
BACK = {v[1]: k for k, v in ESCAPES.items()}
NOT_KEYWORD = re.compile(r"[^A-Za-z0-9.*+!_?$%&=<>-]+")
TOKEN = re.compile(r'[\s,]*(?:;[^\n]*\n[\s,]*)*("(?:\\.|[^"\\])*"|#\{|##\w+|[\[\](){}]|[^\s,\[\](){}";]+)?', re.S)
CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}"}


class Keyword(str):
    """A string that is written as a keyword, :like-this."""

    __slots__ = ()


class EdnError(ValueError):
    """Text that is not EDN, or a value that EDN has no word for."""


def keyword(text):
    """A keyword out of any text: what a keyword can't hold becomes a dash, and no digit comes first."""
    name = NOT_KEYWORD.sub("-", str(text)) or "-"
    return Keyword("n" + name if name[0].isdigit() else name)


def string(text):
    """A string literal; control characters by their number."""
    out = (ESCAPES.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text)
    return '"' + "".join(out) + '"'


def number(value):
    """An integer or a float."""
    if value != value:
        return "##NaN"
    if value in (float("inf"), float("-inf")):
        return "##Inf" if value > 0 else "##-Inf"
    return repr(value)


def dumps(value):
    """A Python value as EDN text on one line."""
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, Keyword):
        return ":" + value
    if isinstance(value, str):
        return string(value)
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(k)} {dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(dumps, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "#{" + " ".join(sorted(map(dumps, value))) + "}"
    raise EdnError(f"EDN has no word for {type(value).__name__}")


def unescaped(text):
    """What a string literal stands for."""
    def one(m):
        return chr(int(m[1][1:], 16)) if m[1][0] == "u" else BACK[m[1]]
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text[1:-1], flags=re.S)


def atom(token):
    """A token without brackets."""
    words = {"nil": None, "true": True, "false": False}
    if token in words:
        return words[token]
    if token[0] == '"':
        return unescaped(token)
    if token[0] == ":":
        return Keyword(token[1:])
    try:
        if token.startswith("##"):
            return float(token[2:])
        return int(token.rstrip("N")) if re.fullmatch(r"[+-]?\d+N?", token) else float(token.rstrip("M"))
    except ValueError:
        raise EdnError(f"not EDN that we know: {token!r}") from None


def tokens(text):
    """The tokens of a text."""
    at = 0
    while at < len(text):
        m = TOKEN.match(text, at)
        if m[1]:
            yield m[1]
        elif m.end() < len(text):
            raise EdnError(f"not EDN at {text[m.end():m.end() + 20]!r}")
        at = m.end()


def collection(opening, items):
    """What stands between two brackets."""
    if opening == "{":
        if len(items) % 2:
            raise EdnError("a map with a key and no value")
        return dict(zip(items[::2], items[1::2]))
    return frozenset(items) if opening == "#{" else items


def loads(text):
    """All values of a text, in their order."""
    stack, out = [], []
    for token in tokens(text):
        if token in CLOSING:
            stack.append((token, []))
            continue
        if token in ("]", ")", "}"):
            if not stack or CLOSING[stack[-1][0]] != token:
                raise EdnError(f"{token} closes nothing")
            value = collection(*stack.pop())
        else:
            value = atom(token)
        (stack[-1][1] if stack else out).append(value)
    if stack:
        raise EdnError(f"{stack[-1][0]} is never closed")
    return out
