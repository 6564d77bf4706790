"""Recognition of templates that a tool did not fill in, and of words for "nothing". Pure."""

import re

from producers.mapping.text import fold_text, normalise_text

# Variables of the tools' templates: RapidPro, TextIt and Glific (@results.x, @(upper(x))), Jinja,
# Django and Mustache ({{x}}, {% x %}), XLSForm and shells (${x}), ERB and JSP (<%= x %>), mail
# merges ([[x]], «x», <<x>>), Python (%(x)s, {x}). An e-mail address has a letter before its @.
_VARIABLE = re.compile(
    r"(?<![\w.@])@(?:results?|contact|fields?|flow|run|input|parent|child|urns?|trigger|globals"
    r"|ticket|node|webhook|extra|legacy_extra|resume|step|date|calendar|wa_group|organization"
    r"|locals|groups?)\b(?!@)"
    r"|(?<![\w.@])@\(|\{\{|\}\}|\$\{|\{%|%\}|<%|%>|\[\[[^\[\]]*\]\]|«[^«»]*»|<<[^<>]*>>"
    r"|%\(\w+\)[sd]|\[object \w+\]|#\{|\$\(|<\?|\{[!$]|\*\||\[%|##\w+##"
    # CommCare's paths
    r"|(?<!\S)#(?:form|case|session|user)/\w|(?<!\S)/data/\w",
    re.IGNORECASE,
)
_ONE_VARIABLE = re.compile(
    rf"(?:{_VARIABLE.pattern})[\w.]*|@\(.*\)|\{{\{{.*\}}\}}|\$\{{.*\}}|\{{%.*%\}}|<%.*%>",
    re.IGNORECASE,
)
# The whole text is a name between signs: %name%, {name}, <name>, $name, __name__.
_NAME = re.compile(
    r"%{1,2}[A-Za-z_][\w.\- ]*%{1,2}|%[sd]|%\d\$[sd]|\{\d+\}"
    r"|\{(?![0-9a-fA-F]{32}\})[A-Za-z_][\w.]*\}|<[A-Za-z_][\w.\- ]*/?>"
    r"|\$[A-Za-z_][\w.]*|__[A-Za-z]\w*__|\[[A-Za-z][A-Za-z_. ]+\]"
)
# A program joined texts of which one was nothing: undefined-17, null/84, NaN NaN.
_JOINED = re.compile(
    r"(?<![^\W_])(?:undefined|NaN)(?![^\W_])|(?:^|[-_:/|])(?:null|None|nil)(?:[-_:/|]|$)"
)
# Words and signs for nothing; folded.
_NOTHING = frozenset(
    map(
        fold_text,
        [
            *("null", "(null)", "<null>", "[null]", "\\n", "undefined", "nan", "nat", "none"),
            *("nil", "nill", "n/a", "n.a.", "n.a", "na", "n / a", "<na>", "(none)", "(blank)"),
            *("blank", "empty", "(empty)", "inf", "infinity", "-inf", "-infinity", "no data"),
            *("not available", "not applicable", "not known", "unknown", "tbd", "[]", "{}", "()"),
            *('""', "''", "-", "--", "---", "\u2013", "\u2014", "_", "__", ".", "..", "...", "…"),
            *("*", "/", "\\", "निरंक", "लागू नहीं", "कोई नहीं", "उपलब्ध नहीं", "अज्ञात", "पता नहीं"),
            *("ज्ञात नहीं", "रिक्त", "invalid date", "error", "loading...", "0000-00-00"),
        ],
    )
)


def explain_placeholder(text: str) -> str | None:
    """Return the reason why a text stands for no value, None if it may be one.

    Args:
        text: of a field that identifies something, names a unit, or is a number. In a free text the
            same words may be meant.
    """
    if (reason := explain_template(text)) is not None:
        return reason
    if fold_text(text) in _NOTHING or _JOINED.search(normalise_text(text)):
        return (
            "has a word for no value, such as null or N/A; give the value, in numbers 0 for none, "
            "or leave an optional field empty"
        )
    return None


def explain_template(text: str, *, whole: bool = False) -> str | None:
    """Return the reason why a text is a template that was not filled in, None if it is none.

    Args:
        text: of any field.
        whole: whether only a text that is one variable and nothing else counts.
    """
    text = normalise_text(text)
    is_one = _ONE_VARIABLE.fullmatch(text) or _NAME.fullmatch(text)
    if is_one or (not whole and _VARIABLE.search(text)):
        return (
            "is a template's variable that was not filled in, such as @results.name or {{name}}; "
            "correct its name in the tool's template or flow"
        )
    return None
