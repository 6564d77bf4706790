"""The report's texts in Hindi and English, and numbers and dates as they are written in India.

Pure. Hindi texts use international digits too: Article 343 of the Constitution prescribes them for
official use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias, get_args

from markupsafe import Markup

from pravah.days import KOLKATA
from reports import choices
from schemas.contacts import Language

Lang: TypeAlias = choices.Lang
LANGS: tuple[Lang, ...] = get_args(Lang)

_LANGUAGES_OF: dict[Lang, tuple[Language, ...]] = {
    "hi": ("hi",),
    "en": ("en",),
    "both": ("hi", "en"),
}
_MONTHS: dict[Language, tuple[str, ...]] = {
    "hi": (
        "जनवरी",
        "फ़रवरी",
        "मार्च",
        "अप्रैल",
        "मई",
        "जून",
        "जुलाई",
        "अगस्त",
        "सितंबर",
        "अक्टूबर",
        "नवंबर",
        "दिसंबर",
    ),
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
}

# Key → Hindi, English. Names in braces are replaced by values.
PHRASES: dict[str, tuple[str, str]] = {
    "report": ("स्थिति रिपोर्ट", "Situation report"),
    "evening_of": ("{day} की शाम तक", "as on the evening of {day}"),
    "right_now": ("{instant} बजे तक", "as on {instant}"),
    # levels
    "national": ("राष्ट्र", "Nation"),
    "state": ("प्रदेश", "State"),
    "division": ("संभाग", "Division"),
    "district": ("ज़िला", "District"),
    "assembly": ("विधानसभा", "Assembly"),
    "booth": ("बूथ", "Booth"),
    "children": ("नीचे की इकाइयाँ", "Units below"),
    "children_state": ("प्रदेश", "States"),
    "children_district": ("ज़िले", "Districts"),
    "children_assembly": ("विधानसभा क्षेत्र", "Assemblies"),
    "children_booth": ("बूथ", "Booths"),
    # where it stands
    "of_what_was_due": ("अब तक जो होना था, उसमें से पूरा हुआ", "done of what was due by now"),
    "of_everything": (
        "पूरे कार्यक्रम का पूरा हुआ; अभी कोई अंतिम तिथि नहीं बीती",
        "done of the whole programme; no deadline has passed yet",
    ),
    "done_today": ("आज पूरे", "done today"),
    "done_that_day": ("उस दिन पूरे", "done that day"),
    "programme": ("कार्यक्रम कहाँ पहुँचा", "Where the programme stands"),
    "no_programme": (
        "इस इकाई के लिए कोई लक्ष्य नहीं है।",
        "No milestone is expected of this unit.",
    ),
    "not_open": ("{day} को {name} इकाई नहीं थी।", "{name} was not open on {day}."),
    "span_from": ("{day} से खुली।", "Open from {day}."),
    "span_to": ("{day} तक खुली।", "Open until {day}."),
    "deadline": ("अंतिम तिथि", "Deadline"),
    "by_day": ("{day} तक", "By {day}"),
    "days_left": ("{count} दिन शेष", "{count} days left"),
    "last_day": ("आज अंतिम दिन", "last day today"),
    "days_past": ("{count} दिन पहले बीती", "passed {count} days ago"),
    "done_on_time": ("समय पर", "on time"),
    "done_late": ("देर से", "late"),
    "overdue": ("बकाया", "overdue"),
    "due": ("शेष", "due"),
    "expected": ("कुल", "expected"),
    "share": ("पूरा", "done"),
    "done": ("पूरे", "done"),
    "known_late": ("समय पर हुआ, सूचना बाद में", "on time, reported late"),
    "forecast": ("अनुमान", "Forecast"),
    "forecast_one": ("मौजूदा गति से {share}: {day} तक", "At this pace {share} by {day}"),
    "forecast_band": (
        "मौजूदा गति से {share}: {day} तक ({first} से {last})",
        "At this pace {share} by {day} ({first} to {last})",
    ),
    "forecast_open": (
        "मौजूदा गति से {share}: {day} तक ({first} या उसके बाद)",
        "At this pace {share} by {day} ({first} or later)",
    ),
    "not_in_sight": (
        "मौजूदा गति से {share} एक साल में भी नहीं",
        "At this pace {share} is not in sight within a year",
    ),
    "too_little_pace": (
        "{share} कब तक: कहने के लिए अभी कम सूचना",
        "When {share}: too little data",
    ),
    "milestone": ("लक्ष्य", "Milestone"),
    # since yesterday
    "since_yesterday": ("कल से क्या बदला", "What changed since yesterday"),
    "since_day_before": ("एक दिन पहले से क्या बदला", "What changed since the day before"),
    "nothing_changed": ("कुछ नहीं बदला।", "Nothing has changed."),
    "newly_done": ("पूरे हुए", "done"),
    "newly_overdue": ("की तिथि बीत गई", "became overdue"),
    # today against usual
    "activity": ("सदस्यता और पहुँच", "Membership and reach"),
    "so_far_today": ("आज अब तक", "Today so far"),
    "nothing_reported": (
        "इस इकाई से अभी तक कोई सूचना नहीं मिली।",
        "Nothing has been reported for this unit yet.",
    ),
    "that_day": ("उस दिन", "That day"),
    "usual": ("सामान्य दिन", "Usual day"),
    "to_date": ("अब तक", "To date"),
    "verified": ("सत्यापित", "Verified"),
    "members_counted": (
        (
            "सदस्य अब तक: {members}, सत्यापित {verified}; पहचान-कुंजी सहित {named}, जिनमें अलग-अलग"
            " व्यक्ति {persons}"
        ),
        (
            "Members to date: {members}, verified {verified}; {named} came with a key, which are"
            " {persons} different persons"
        ),
    ),
    "approximate": ("(लगभग)", "(about)"),
    "members": ("नए सदस्य", "New members"),
    "reach": ("पोस्ट की पहुँच", "Reach of posts"),
    "posts": ("पोस्ट", "Posts"),
    "trainings": ("प्रशिक्षण", "Trainings"),
    "groups": ("व्हाट्सएप और ब्रॉडकास्ट समूह", "WhatsApp and broadcast groups"),
    "group_members": ("समूहों के सदस्य", "Members of groups"),
    "not_reported": ("सूचना नहीं", "not reported"),
    "too_little": ("अभी कम दिन", "too few days"),
    "usual_note": (
        "सामान्य दिन: पिछले {count} दिनों का मध्य मान।",
        "Usual day: the median of the {count} days before.",
    ),
    "booths_reporting": (
        "{days} दिनों में बूथ: {active} सक्रिय, {zero} ने शून्य बताया, {silent} मौन",
        "Booths in {days} days: {active} active, {zero} reported zero, {silent} silent",
    ),
    "unusual": ("जाँचने योग्य असामान्य आँकड़े", "Unusual values to check"),
    "unusual_count": (
        "{count} आँकड़े सामान्य से बहुत अलग हैं; वे गिने गए हैं।",
        "{count} values are far from usual; they count.",
    ),
    "usually": ("सामान्यतः {usual}", "usually {usual}"),
    # charts
    "trend": ("रफ़्तार", "Trend"),
    "trend_done": (
        "पूरे हुए, प्रतिशत; खड़ी रेखा अंतिम तिथि है",
        "Done, per cent; the upright line is the deadline",
    ),
    "trend_members": (
        "प्रतिदिन नए सदस्य; × का अर्थ है सूचना नहीं; टूटी रेखा: सामान्य दिन",
        "New members a day; × means not reported; the dashed line is the usual day",
    ),
    "map_of": ("नक़्शा: {of}", "Map: {of}"),
    "map_note": (
        (
            "प्रतिशत: अब तक जो होना था, उसमें से पूरा। “–”: कोई लक्ष्य नहीं। सीमाएँ विधानसभा"
            " क्षेत्रों से बनी हैं और सांकेतिक हैं।"
        ),
        (
            "Per cent done of what was due by now. “–”: nothing is expected. Boundaries are made of"
            " assembly constituencies; they are approximate, not official."
        ),
    ),
    # best and worst
    "best": ("सबसे आगे", "Furthest ahead"),
    "worst": ("सबसे पीछे", "Furthest behind"),
    "all_children": ("सभी", "All"),
    "complete_children": (
        "{total} में से {count} ने अब तक का सब कुछ पूरा किया",
        "{count} of {total} have done everything that was due",
    ),
    "idle_children": (
        "{total} में से {count} ने अभी कुछ भी पूरा नहीं किया",
        "{count} of {total} have done nothing yet",
    ),
    "silent_booths": ("मौन बूथ", "Silent booths"),
    "unit": ("इकाई", "Unit"),
    "code": ("कोड", "Code"),
    "name_en": ("नाम (अंग्रेज़ी)", "Name (English)"),
    "name_hi": ("नाम (हिंदी)", "Name (Hindi)"),
    "level": ("स्तर", "Level"),
    # who is overdue
    "defaulters": ("किससे बात करें", "Whom to speak to"),
    "overdue_units": ("बकाया इकाइयाँ", "Overdue units"),
    "no_defaulters": ("कोई बकाया नहीं है।", "Nobody is overdue."),
    "defaulters_order": (
        "पहले वे, जिन पर सबसे अधिक काम रुके हैं",
        "Those that block most come first",
    ),
    "overdue_days": ("{count} दिन से बकाया", "{count} days overdue"),
    "days_overdue": ("बकाया दिन", "Days overdue"),
    "blocks": ("इस पर {count} काम रुके हैं", "blocks {count} more"),
    "waiting": ("रुके काम", "Blocked"),
    "last_report": ("अंतिम सूचना", "Last report"),
    "never": ("कभी नहीं", "never"),
    "responsible": ("ज़िम्मेदार", "Responsible"),
    "call": ("फ़ोन", "Call"),
    "phone": ("फ़ोन नंबर", "Phone"),
    "more_defaulters": ("… और {count}", "… and {count} more"),
    # how current, how made
    "data_age": ("आँकड़े कितने ताज़ा हैं", "How current the figures are"),
    "newest_event": ("सबसे नई घटना", "Newest event"),
    "no_event": ("अभी तक कोई घटना नहीं", "no event yet"),
    "figures_updated": ("आँकड़े अद्यतन", "Figures updated"),
    "reconciled": ("अंतिम मिलान", "Last reconcile"),
    "never_reconciled": ("अभी तक नहीं", "not yet"),
    "equal": ("सभी आँकड़े बही के बराबर", "all figures equal the ledger"),
    "different": ("कुछ आँकड़े बही से अलग", "some figures differ from the ledger"),
    "made_at": ("रिपोर्ट बनी", "Report made"),
    "how_made": ("आँकड़े कैसे बने", "How the figures were made"),
    "how_made_text": (
        (
            "हर घटना एक बार गिनी जाती है; सुधार और वापसी लागू होते हैं। हर दिन की इकाइयाँ और सीमाएँ उसी"
            " दिन की हैं। समय पर वही है जो अंतिम तिथि तक हुआ, चाहे सूचना बाद में आई हो। तुलना में केवल"
            " वे लक्ष्य हैं जिनकी अंतिम तिथि बीत चुकी है।"
        ),
        (
            "Each event counts once; corrections and retractions apply. Units and boundaries of"
            " each day are those of that day. On time is what happened by the deadline, even if"
            " it was reported later. Units are compared by the milestones whose deadline has"
            " passed."
        ),
    ),
    "figures": ("आँकड़े", "Figures"),
    "metric": ("सूचक", "Metric"),
}


def format_number(number: float) -> str:
    """A number in Indian grouping, such as 1,23,45,678, rounded to the nearest integer."""
    whole = round(number)
    sign, digits = ("-" if whole < 0 else ""), str(abs(whole))
    head, tail = digits[:-3], digits[-3:]
    pairs = []
    while head:
        pairs.append(head[-2:])
        head = head[:-2]
    return sign + ",".join([*reversed(pairs), tail])


def format_percent(share: float, digits: int = 1) -> str:
    """A share as per cent: 100 only if it is 1, and 0 only if it is 0."""
    rounded = round(share * 100, digits)
    if 0 < share < 1:
        least = 10.0**-digits
        rounded = min(max(rounded, least), 100 - least)
    return f"{rounded:.{digits}f}%"


def format_day(day: date, language: Language) -> str:
    """A day, such as 20 जून 2022 or 20 June 2022."""
    return f"{day.day} {_MONTHS[language][day.month - 1]} {day.year}"


def format_instant(instant: datetime, language: Language) -> str:
    """An instant in Asia/Kolkata, to the minute."""
    local = instant.astimezone(KOLKATA)
    return f"{format_day(local.date(), language)}, {local:%H:%M}"


@dataclass(frozen=True)
class Labels:
    """Texts in Hindi, in English, or in both with Hindi first."""

    lang: Lang

    @property
    def languages(self) -> tuple[Language, ...]:
        """The languages of the texts."""
        return _LANGUAGES_OF[self.lang]

    @property
    def each(self) -> tuple["Labels", ...]:
        """The same for each language alone, for texts on lines of their own."""
        return tuple(Labels(language) for language in self.languages)

    def say(self, key: str, /, **values: object) -> Markup:
        """A phrase as HTML, each language in an element with its `lang`.

        Days, instants and numbers among the values are formatted; all values are escaped.
        """
        return self._beside(
            {language: phrase(key, language, **values) for language in self.languages}
        )

    def name(self, of: object, prefix: str = "name") -> Markup:
        """The names in an object's attributes `<prefix>_hi` and `<prefix>_en`."""
        return self._beside(
            {language: str(getattr(of, f"{prefix}_{language}")) for language in self.languages}
        )

    def day(self, day: date) -> Markup:
        """A day, formatted."""
        return self._beside({language: format_day(day, language) for language in self.languages})

    def instant(self, instant: datetime) -> Markup:
        """An instant, formatted."""
        return self._beside(
            {language: format_instant(instant, language) for language in self.languages}
        )

    def pair(self, key: str) -> tuple[str, str]:
        """A phrase in Hindi and English, as a value for another phrase."""
        return PHRASES[key]

    def beside(self, hindi: str, english: str) -> Markup:
        """A text that is given in both languages."""
        return self._beside(
            {language: hindi if language == "hi" else english for language in self.languages}
        )

    def _beside(self, texts: Mapping[Language, str]) -> Markup:
        first, *rest = texts.items()
        if rest and rest[0][1] == first[1]:  # a code or a number
            rest = []
        beside = [
            Markup('<span lang="{}" class="t">{}</span>').format(language, text)
            for language, text in (first, *rest)
        ]
        return Markup(" ").join(beside)


def phrase(key: str, language: Language, /, **values: object) -> str:
    """A phrase in one language, as plain text."""
    text = PHRASES[key][0 if language == "hi" else 1]
    return text.format(**{name: _format_value(value, language) for name, value in values.items()})


def _format_value(value: object, language: Language) -> str:
    if isinstance(value, datetime):
        return format_instant(value, language)
    if isinstance(value, date):
        return format_day(value, language)
    if isinstance(value, int | float):
        return format_number(value)
    if isinstance(value, tuple):  # Hindi, English
        return str(value[0 if language == "hi" else 1])
    return str(value)


def heading(key: str) -> str:
    """A phrase in both languages as plain text, for a heading."""
    return " · ".join(PHRASES[key])
