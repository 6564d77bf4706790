"""The report's texts in Hindi and English, and numbers and dates as they are written in India.

Pure. Hindi texts use international digits too: Article 343 of the Constitution prescribes them for
official use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import get_args

from markupsafe import Markup

from pravah.days import KOLKATA
from pravah.languages import Lang, Language, languages_of

LANGS: tuple[Lang, ...] = get_args(Lang)

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
    "evening_of": ("{day} की शाम तक", "Evening of {day}"),
    "right_now": ("{instant} बजे तक", "{instant}"),
    # the first sentences
    "trouble": (
        "“{milestone}”: {expected} में से {overdue} बकाया, अंतिम तिथि {days} दिन पहले बीत चुकी है।",
        "“{milestone}”: {overdue} of {expected} overdue, {days:day|days} past the deadline.",
    ),
    "trouble_one": (
        "“{milestone}” {days} दिन से बकाया है।",
        "“{milestone}” is {days:day|days} overdue.",
    ),
    "trouble_more": (
        "बाक़ी लक्ष्यों में {count} और बकाया।",
        "{count} more overdue with other milestones.",
    ),
    "no_trouble": ("कुछ भी बकाया नहीं है।", "Nothing is overdue."),
    "all_done": ("सभी लक्ष्य पूरे हो चुके हैं।", "Every milestone is done."),
    "next_deadline": (
        "अगली अंतिम तिथि {day} है: “{milestone}”, {expected} में से {open} शेष।",
        "The next deadline is {day}: “{milestone}”, with {open} of {expected} still to do.",
    ),
    "next_deadline_one": (
        "अगली अंतिम तिथि {day} है: “{milestone}”।",
        "The next deadline is {day}: “{milestone}”.",
    ),
    "changed_yesterday": ("कल से: {changes}।", "Since yesterday: {changes}."),
    "changed_day_before": ("एक दिन पहले से: {changes}।", "Since the day before: {changes}."),
    "change_done": ("{count} पूरे हुए", "{count} done"),
    "change_overdue": ("{count} की अंतिम तिथि बीत गई", "{count} became overdue"),
    "change_share": ("{before} से {now} पूरे", "{before} to {now} complete"),
    "unchanged_yesterday": ("कल से कुछ नहीं बदला।", "Nothing has changed since yesterday."),
    "unchanged_day_before": (
        "एक दिन पहले से कुछ नहीं बदला।",
        "Nothing has changed since the day before.",
    ),
    "furthest_behind": ("सबसे पीछे", "Furthest behind"),
    "silent_now": (
        "{days} दिन से {count:बूथ मौन है|बूथ मौन हैं}।",
        "{count:booth has|booths have} been silent for {days} days.",
    ),
    "call_first": ("पहले इनसे बात करें", "Call first"),
    "yesterday": ("कल", "yesterday"),
    "day_before": ("एक दिन पहले", "the day before"),
    "week_before": ("7 दिन पहले", "7 days before"),
    "of_total": ("{total} में से {count}", "{count} of {total}"),
    "language": ("भाषा", "Language"),
    "both": ("दोनों", "Both"),
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
    "of_what_was_due": ("अब तक जो होना था, उसमें से पूरा", "of what was due by now is done"),
    "of_everything": (
        "पूरे कार्यक्रम में से पूरा; अभी कोई अंतिम तिथि नहीं बीती",
        "of the whole programme is done; no deadline has passed yet",
    ),
    "done_today": ("आज पूरे", "done today"),
    "done_that_day": ("उस दिन पूरे", "done that day"),
    "programme": ("कार्यक्रम कहाँ पहुँचा", "Where the programme stands"),
    "finished": (
        "{count:लक्ष्य पूरा हो चुका है|लक्ष्य पूरे हो चुके हैं}",
        "{count:milestone is|milestones are} complete",
    ),
    "no_programme": (
        "इस इकाई के लिए कोई लक्ष्य नहीं है।",
        "No milestone is expected of this unit.",
    ),
    "not_open": ("{day} को {name} इकाई नहीं थी।", "{name} was not open on {day}."),
    "span_from": ("{day} से खुली।", "Open from {day}."),
    "span_to": ("{day} तक खुली।", "Open until {day}."),
    "deadline": ("अंतिम तिथि", "Deadline"),
    "by_day": ("{day} तक", "By {day}"),
    "days_left": ("{count} दिन शेष", "{count:day|days} left"),
    "last_day": ("आज अंतिम दिन", "last day today"),
    "days_past": ("{count} दिन पहले बीती", "passed {count:day|days} ago"),
    "done_on_time": ("समय पर", "on time"),
    "done_late": ("देर से", "late"),
    "overdue": ("बकाया", "overdue"),
    "due": ("शेष", "due"),
    "expected": ("कुल", "expected"),
    "share": ("पूरा", "done"),
    "done": ("पूरे", "done"),
    "known_late": ("समय पर हुआ, सूचना बाद में", "on time, reported late"),
    "forecast": ("अनुमान", "Forecast"),
    "forecast_day": ("मौजूदा गति से {share}: {day} तक", "At this pace {share} by {day}"),
    "forecast_band": (
        "मौजूदा गति से {share}: {first} से {last} के बीच",
        "At this pace {share} between {first} and {last}",
    ),
    "forecast_not_before": (
        "मौजूदा गति से {share}: {first} से पहले नहीं",
        "At this pace {share} not before {first}",
    ),
    "not_in_sight": (
        "मौजूदा गति से {share} एक साल में भी नहीं",
        "At this pace {share} will not be reached within a year",
    ),
    "milestone": ("लक्ष्य", "Milestone"),
    # since the day before
    "newly_done": ("नए पूरे", "newly done"),
    "newly_overdue": ("नए बकाया", "newly overdue"),
    "new_today": ("{count} आज", "{count} today"),
    "new_that_day": ("{count} उस दिन", "{count} that day"),
    "new_overdue": ("{count} नए बकाया", "{count} newly overdue"),
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
        "अब तक {members} सदस्य बताए गए, जिनमें {verified} सत्यापित।",
        "{members:member was|members were} reported to date, {verified} of them verified.",
    ),
    "persons_counted": (
        "{named} के साथ पहचान-कुंजी आई; वे {persons} अलग-अलग व्यक्ति हैं।",
        (
            "{named} came with a key that stands for a person; these are"
            " {persons:person|different persons}."
        ),
    ),
    "approximate": ("(लगभग)", "(approximately)"),
    "members": ("नए सदस्य", "New members"),
    "reach": ("पोस्ट की पहुँच", "Reach of posts"),
    "posts": ("पोस्ट", "Posts"),
    "trainings": ("प्रशिक्षण", "Trainings"),
    "groups": ("व्हाट्सएप और ब्रॉडकास्ट समूह", "WhatsApp and broadcast groups"),
    "group_members": ("समूहों के सदस्य", "Members of groups"),
    "not_reported": ("सूचना नहीं", "not reported"),
    "too_little": ("अभी कम दिन", "too early"),
    "usual_note": (
        "सामान्य दिन: पिछले {count} दिनों का मध्य मान।",
        "Usual day: the median of the {count} days before.",
    ),
    "booths_reporting": (
        "पिछले {days} दिनों में {active} बूथ सक्रिय रहे, {zero} ने केवल शून्य बताया, {silent} मौन रहे।",
        (
            "In the last {days} days {active:booth was|booths were} active, {zero} reported only"
            " zeros, and {silent} were silent."
        ),
    ),
    "unusual": ("जाँचने योग्य असामान्य आँकड़े", "Unusual values to check"),
    "unusual_count": (
        "{count} आँकड़े सामान्य से बहुत अलग हैं। वे गिने जाते हैं, पर जाँच लें।",
        (
            "{count:value is|values are} far from what is usual. They are counted, but should be"
            " checked."
        ),
    ),
    "usually": ("सामान्यतः {usual}", "usually {usual}"),
    # charts
    "trend": ("रफ़्तार", "Trend"),
    "trend_done": (
        "पूरे हुए, प्रतिशत में। खड़ी रेखा: अंतिम तिथि।",
        "Per cent done. Vertical line: the deadline.",
    ),
    "trend_members": (
        "प्रतिदिन नए सदस्य। ×: सूचना नहीं। टूटी रेखा: सामान्य दिन।",
        "New members per day. ×: nothing reported. Dashed line: a usual day.",
    ),
    "map_of": ("नक़्शा: {of}", "Map: {of}"),
    "map_note": (
        (
            "अब तक जो होना था, उसमें से कितने प्रतिशत पूरा हुआ। “–”: कोई लक्ष्य नहीं। सीमाएँ"
            " विधानसभा क्षेत्रों से बनी हैं और सांकेतिक हैं।"
        ),
        (
            "Per cent of what was due by now that is done. “–”: nothing is expected. Boundaries are"
            " drawn from assembly constituencies; they are approximate, not official."
        ),
    ),
    # best and worst
    "best": ("सबसे आगे", "Furthest ahead"),
    "worst": ("सबसे पीछे", "Furthest behind"),
    "all_children": ("सभी {count}", "All {count}"),
    "open_report": ("इस इकाई की रिपोर्ट", "Report of this unit"),
    "complete_children": (
        "{count:इकाई ने|इकाइयों ने} अब तक का सब कुछ पूरा किया।",
        "{count:unit has|units have} done everything that was due.",
    ),
    "idle_children": (
        "{count:इकाई ने|इकाइयों ने} अभी कुछ भी पूरा नहीं किया।",
        "{count:unit has|units have} done nothing yet.",
    ),
    "silent_booths": ("मौन बूथ", "Silent booths"),
    "unit": ("इकाई", "Unit"),
    "code": ("कोड", "Code"),
    "name_en": ("नाम (अंग्रेज़ी)", "Name (English)"),
    "name_hi": ("नाम (हिंदी)", "Name (Hindi)"),
    "level": ("स्तर", "Level"),
    # who is overdue
    "defaulters": ("किसे फ़ोन करें", "Whom to call"),
    "overdue_units": ("बकाया इकाइयाँ", "Overdue units"),
    "no_defaulters": ("कोई बकाया नहीं है।", "Nobody is overdue."),
    "defaulters_order": (
        "जिन पर सबसे अधिक काम रुके हैं, वे पहले",
        "Those holding up the most work come first.",
    ),
    "offices_order": (
        "जिनकी सबसे अधिक इकाइयाँ बकाया हैं, वे पहले।",
        "Those with the most overdue units come first.",
    ),
    "office_overdue": (
        "{count} बकाया, सबसे पुराना {days} दिन से",
        "{count} overdue, the longest by {days:day|days}",
    ),
    "no_contacts": (
        "नाम और फ़ोन नंबर इस रिपोर्ट में नहीं हैं।",
        "Names and phone numbers are not in this report.",
    ),
    "overdue_days": ("{count} दिन से बकाया", "{count:day|days} overdue"),
    "days_overdue": ("बकाया दिन", "Days overdue"),
    "blocks": ("इस पर {count} काम रुके हैं", "holds up {count} more"),
    "waiting": ("रुके काम", "Held up"),
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
    "reconciled": ("अंतिम मिलान", "Last check against the ledger"),
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
    "explain": ("हर आँकड़े का आधार", "What is behind a figure"),
    "explain_text": (
        "किसी भी आँकड़े के पीछे की घटनाएँ एक-एक करके देखी जा सकती हैं, जैसे:",
        "Any figure can be traced to the single events that count in it, for example:",
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


def format_short_day(day: date, language: Language) -> str:
    """A day without its year, as on an axis: 1 जून or 1 Jun."""
    month = _MONTHS[language][day.month - 1]
    return f"{day.day} {month if language == 'hi' else month[:3]}"


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
        return languages_of(self.lang)

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


@dataclass(frozen=True)
class _Count:
    """A number; the format `day|days` adds the word for one or for any other number."""

    number: float

    def __format__(self, words: str) -> str:
        one, _, many = words.partition("|")
        text = format_number(self.number)
        return f"{text} {one if self.number == 1 else many}" if words else text


def _format_value(value: object, language: Language) -> str | _Count:
    if isinstance(value, datetime):
        return format_instant(value, language)
    if isinstance(value, date):
        return format_day(value, language)
    if isinstance(value, int | float):
        return _Count(value)
    if isinstance(value, tuple):  # Hindi, English
        return str(value[0 if language == "hi" else 1])
    return str(value)


def heading(key: str) -> str:
    """A phrase in both languages as plain text, for a heading."""
    return " · ".join(PHRASES[key])
