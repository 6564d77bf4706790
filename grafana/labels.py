"""Labels and colours that several panels share.

Hindi first, English beside it. Every colour comes with a symbol, for colour-blind viewers.
"""

from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

# Shown for a figure that nobody reported. A reported zero is shown as 0.
NOT_REPORTED = "— सूचना नहीं · not reported"

# Colours: all is well, look at it, act on it, neutral, no data.
GOOD, LOOK, ACT, PLAIN, QUIET = "green", "orange", "red", "text", "#8e8e8e"


def null_mapping(text: str = "—") -> ValueMapping:
    """Mapping of NULL to a sign."""
    return SpecialValueMap(
        DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL, result=ValueMappingResult(text=text, color=QUIET, index=0)
        )
    )


def value_mapping(shown: dict[str, tuple[str, str]]) -> ValueMapping:
    """Mapping of a column's values to (text, colour)."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(shown.items(), 1)
        }
    )


LEVELS = value_mapping(
    {
        "national": ("राष्ट्र · nation", PLAIN),
        "state": ("प्रदेश · state", PLAIN),
        "division": ("संभाग · division", PLAIN),
        "district": ("ज़िला · district", PLAIN),
        "assembly": ("विधानसभा · assembly", PLAIN),
        "booth": ("बूथ · booth", PLAIN),
    }
)

PLAN_STATES = value_mapping(
    {
        "done_on_time": ("✔ समय पर · on time", GOOD),
        "done_late": ("◐ देर से · late", LOOK),
        "overdue": ("✖ बकाया · overdue", ACT),
        "due": ("○ शेष · due", PLAIN),
    }
)

OUTLOOKS = value_mapping(
    {
        "reached": ("✔ हो चुका · reached", GOOD),
        "forecast": ("→ इस दिन · on this day", PLAIN),
        "not_in_sight": ("✖ दिखता नहीं · not in sight", ACT),
        "too_little": ("? कम जानकारी · too little known", QUIET),
    }
)

ACTIVITY_STATES = value_mapping(
    {
        "silent": ("✖ मौन · silent", ACT),
        "zero": ("0 शून्य · reported zero", LOOK),
        "active": ("✔ सक्रिय · active", GOOD),
    }
)

METHODS = value_mapping(
    {"exact": ("सटीक · exact", PLAIN), "approximate": ("लगभग · approximate", PLAIN)}
)

LIGHT = value_mapping(
    {"0": ("✔ ठीक · in order", GOOD), "1": ("▲ देखें · look", LOOK), "2": ("✖ रुका · act now", ACT)}
)

COUNTS = value_mapping(
    {"1": ("✔ गिना गया · counts", GOOD), "0": ("✖ नहीं गिना · does not count", QUIET)}
)

YES = value_mapping({"1": ("✔ हाँ · yes", GOOD), "0": ("✖ नहीं · no", ACT)})
