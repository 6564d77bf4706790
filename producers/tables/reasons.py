"""Reasons for rejected rows in Hindi, beside the English ones."""

import re
from typing import NamedTuple


class _Reason(NamedTuple):
    pattern: re.Pattern[str]
    """Finds the English reason. Its groups fill the Hindi one."""
    hindi: str


# Begins a problem; its group is the column.
_COLUMN = r"(?:^|; )([^:;]{1,100}): "
_PATTERNS = [
    (_COLUMN + r"is merged with row (\d+)", "{0}: ऊपर की पंक्ति {1} से जुड़ा सेल है; अलग करके भरें"),
    (_COLUMN + r"is empty", "{0}: खाली है"),
    (_COLUMN + r"has separators only", "{0}: खाली है"),
    (_COLUMN + r"[^;]*? is not a whole number", "{0}: पूरी संख्या नहीं है"),
    (_COLUMN + r"[^;]*? is neither yes nor no", "{0}: हाँ या नहीं लिखें"),
    (_COLUMN + r"[^;]*? is not written as ([^;.]+)", "{0}: तारीख इस रूप में नहीं है: {1}"),
    (_COLUMN + r"[^;]*? is neither a day such as", "{0}: तारीख समझ में नहीं आती"),
    (_COLUMN + r"[^;]*? lies before the year", "{0}: तारीख बहुत पुरानी है"),
    (_COLUMN + r"[^;]*?(?:after the year|future)", "{0}: तारीख आगे की है"),
    (_COLUMN + r"is no phone number: it has more than one", "{0}: एक से ज़्यादा नंबर हैं"),
    (_COLUMN + r"[^;]*?is no phone number", "{0}: फ़ोन नंबर नहीं है"),
    (_COLUMN + r"[^;]*? is not among", "{0}: यह शब्द सूची में नहीं है"),
    (_COLUMN + r"[^;]*? is an error of the spreadsheet", "{0}: सूत्र में गलती है; ठीक करें"),
    (_COLUMN + r"has a formula and no result", "{0}: सूत्र का नतीजा नहीं है; Excel में सेव करें"),
    (_COLUMN + r"[^;]*?the column was too narrow", "{0}: कॉलम छोटा था, ### सेव हुआ है"),
    (_COLUMN + r"is a formula and not its result", "{0}: सूत्र है, उसका नतीजा नहीं"),
    (_COLUMN + r"[^;]*?percentage", "{0}: प्रतिशत है, संख्या नहीं"),
    (_COLUMN + r"[^;]*? is the name of no unit", "{0}: इस नाम की इकाई नहीं मिली"),
    (_COLUMN + r"[^;]*? is the name of (\d+) units", "{0}: इस नाम की {1} इकाइयाँ हैं; कोड लिखें"),
    (_COLUMN + r"[^;]*? is in no alias file", "{0}: यह नाम पहचाना नहीं गया"),
    (_COLUMN + r"[^;]*? template's variable", "{0}: टेम्पलेट का खाना भरा नहीं गया था; सही मान लिखें"),
    (_COLUMN + r"[^;]*? word for no value", "{0}: null या N/A जैसा शब्द है; सही मान लिखें"),
    (_COLUMN + r"[^;]*? has (?:shortened|rounded)", "{0}: संख्या के अंक कट गए हैं; पूरी संख्या लिखें"),
    (
        _COLUMN + r"[^;]*? (?:question marks for letters|replacement character|read in another)",
        "{0}: अक्षर बिगड़ गए हैं; सही लिखें",
    ),
    (_COLUMN + r"[^;]*? which a spreadsheet makes of", "{0}: स्प्रेडशीट ने इसे तारीख बना दिया; सही लिखें"),
    (r"exists only (?:from|until)", "यह इकाई उस दिन नहीं थी"),
    (r"the row has (\d+) cells for (\d+) columns", "{1} कॉलम हैं पर {0} सेल भरे हैं"),
    (r"repeats the names of the columns", "यह शीर्षक की पंक्ति है, आँकड़ा नहीं"),
    (r"looks like a line of totals", "यह योग (टोटल) की पंक्ति लगती है; हटा दें"),
    (r"as row (\d+), so it would count once", "पंक्ति {0} में यही पहचान पहले से है"),
    (r"is not in the registry", "यह इकाई सूची में नहीं है"),
    (r"does not exist on (\d{4}-\d\d-\d\d)", "इकाई {0} को नहीं थी"),
    (r"unit: is not a unit code", "इकाई का कोड सही नहीं है"),
    (r"column '(.+?)' has .*? of a spreadsheet", "{0}: कुछ तारीखें टेक्स्ट हैं; एक जैसा करें"),
    (r"Kafka did not confirm it", "भेजी नहीं जा सकी; फिर से इम्पोर्ट करें"),
]
_REASONS = [_Reason(re.compile(pattern), hindi) for pattern, hindi in _PATTERNS]
_BY_REASON = {
    "invalid": "पंक्ति में गलती है; अंग्रेज़ी में विवरण देखें",
    "repeated_row": "यही पंक्ति पहले आ चुकी है",
    "unknown_unit": "यह इकाई सूची में नहीं है",
    "closed_unit": "यह इकाई उस दिन नहीं थी",
    "far_future": "तारीख आगे की है",
    "unknown_metric": "यह सूचक (metric) सूची में नहीं है",
    "unknown_trained_unit": "प्रशिक्षित इकाई सूची में नहीं है",
    "undelivered": "भेजी नहीं जा सकी; फिर से इम्पोर्ट करें",
}


def to_hindi(reason: str, detail: str) -> str:
    """Return why a row was rejected, in Hindi.

    Args:
        reason: the kind, as `EventError.reason`.
        detail: the English sentence with all problems.
    """
    found = {
        match.start(): one.hindi.format(*(group or "" for group in match.groups()))
        for one in reversed(_REASONS)
        for match in one.pattern.finditer(detail)
    }
    sentences = dict.fromkeys(found[start] for start in sorted(found))
    return "; ".join(sentences) or _BY_REASON.get(reason, _BY_REASON["invalid"])
