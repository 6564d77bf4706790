"""Parameters of views that cannot be misread: a day, and an instant with its zone.

ClickHouse hands a view's argument over as text and drops its zone: a parameter of type `DateTime64`
reads `23:59:59` of Asia/Kolkata as 23:59:59 of the server's zone, and one of type `Date` reads
2022-02-30 as 2022-03-02. These parameters are therefore text that the view checks. A typed value
without a zone in its text (`DateTime`, `DateTime64`) is refused, a `Date` is a day.

Part of released migrations: what a function returns today must stay what it is.
"""

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
_INSTANT = f"{_DAY}[T ]{_TIME}{_ZONE}"


def day(name: str) -> str:
    """SQL of the `Date` that a parameter names.

    The parameter is a day, such as 2022-03-20, or an instant with its zone, such as
    2022-03-20T23:59:59+05:30, whose day in Asia/Kolkata it names.

    Args:
        name: of the parameter, which has the type `String`.
    """
    text = f"{{{name}:String}}"
    refused = _refusal(
        name,
        text,
        f"{_DAY}|{_INSTANT}",
        "a day such as 2022-03-20, or an instant with its zone such as 2022-03-20T23:59:59+05:30; "
        "of a typed instant give toDate(…, ''Asia/Kolkata'')",
    )
    return _once(f"""
        if(
            length({text}) = 10,
            toDateOrZero({text}),
            toDate(parseDateTime64BestEffortOrZero({text}, 3, 'Asia/Kolkata'), 'Asia/Kolkata')
        ) + {refused}
    """)


def instant(name: str) -> str:
    """SQL of the `DateTime64(3)` that a parameter names, an instant with its zone.

    Args:
        name: of the parameter, which has the type `String`.
    """
    text = f"{{{name}:String}}"
    refused = _refusal(
        name,
        text,
        _INSTANT,
        "an instant with its zone, such as 2022-03-20T23:59:59+05:30 or 2022-03-20T18:29:59Z",
    )
    return _once(f"""
        parseDateTime64BestEffortOrZero({text}, 3, 'Asia/Kolkata') + toIntervalSecond({refused})
    """)


def noon_of(day: str) -> str:
    """SQL of a `DateTime64(3)`: noon of a day in Asia/Kolkata.

    Args:
        day: SQL of a `Date`.
    """
    return f"toDateTime64(concat(toString({day}), ' 12:00:00'), 3, 'Asia/Kolkata')"


def _once(value: str) -> str:
    """SQL that is computed before the query: `throwIf` is not folded, and would hide an index."""
    return f"assumeNotNull((SELECT {value}))"


def _refusal(name: str, text: str, pattern: str, expected: str) -> str:
    """SQL that is 0, or fails if the text has another form or its day is in no calendar."""
    return f"""throwIf(
        NOT match({text}, '^({pattern})$')
        OR toString(toDateOrZero(substring({text}, 1, 10))) != substring({text}, 1, 10),
        '{name}: {expected}'
    )"""
