"""Words that several panels show: Hindi first, English beside it. A symbol stands with every colour."""

from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

NOT_REPORTED = "— सूचना नहीं · not reported"
"""What a figure shows that nobody reported. A zero that somebody reported is 0."""

GOOD, LOOK, ACT, PLAIN, QUIET = "green", "orange", "red", "text", "#8e8e8e"
"""The colours and what they mean: all is well, look at it, act on it, no judgement, nothing was said."""


def not_reported(text: str = "—") -> ValueMapping:
    """NULL as a sign of its own."""
    return SpecialValueMap(
        DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL, result=ValueMappingResult(text=text, color=QUIET, index=0)
        )
    )


def words(shown: dict[str, tuple[str, str]]) -> ValueMapping:
    """Values of a column → (text, colour)."""
    return ValueMap(
        {
            value: ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(shown.items(), 1)
        }
    )


LEVELS = words(
    {
        "national": ("राष्ट्र · nation", PLAIN),
        "state": ("प्रदेश · state", PLAIN),
        "division": ("संभाग · division", PLAIN),
        "district": ("जिला · district", PLAIN),
        "assembly": ("विधानसभा · assembly", PLAIN),
        "booth": ("बूथ · booth", PLAIN),
    }
)

PLAN_STATES = words(
    {
        "done_on_time": ("✔ समय पर · on time", GOOD),
        "done_late": ("◐ देर से · late", LOOK),
        "overdue": ("✖ बकाया · overdue", ACT),
        "due": ("○ शेष · due", PLAIN),
    }
)

OUTLOOKS = words(
    {
        "reached": ("✔ हो चुका · reached", GOOD),
        "forecast": ("→ इस दिन · on this day", PLAIN),
        "not_in_sight": ("✖ दिखता नहीं · not in sight", ACT),
        "too_little": ("? कम जानकारी · too little known", QUIET),
    }
)

ACTIVITY_STATES = words(
    {
        "silent": ("✖ मौन · silent", ACT),
        "zero": ("0 शून्य · reported zero", LOOK),
        "active": ("✔ सक्रिय · active", GOOD),
    }
)

METHODS = words({"exact": ("सटीक · exact", PLAIN), "approximate": ("लगभग · approximate", PLAIN)})

LIGHT = words(
    {"0": ("✔ ठीक · in order", GOOD), "1": ("▲ देखें · look", LOOK), "2": ("✖ रुका · act now", ACT)}
)

COUNTS = words({"1": ("✔ गिना गया · counts", GOOD), "0": ("✖ नहीं गिना · does not count", QUIET)})

YES = words({"1": ("✔ हाँ · yes", GOOD), "0": ("✖ नहीं · no", ACT)})
