"""The meanings of column headings: words in Hindi, English, and Hindi in Latin letters."""

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

from schemas.unit_names import normalise_name

Meaning = Literal[
    "code", "booth", "assembly", "district", "division",
    "date", "birth", "serial", "identity", "version",
    "phone", "name", "reporter", "role",
    "members", "new_members", "attendees", "posts", "reach", "engagements", "doors", "volunteers",
    "group_name", "group_type", "programme", "platform", "mode", "active", "evidence",
]  # fmt: skip

# Phrases are separated by `|`. They are compared as names of units are: without case, punctuation
# and different spellings of one sound.
_PHRASES: dict[Meaning, str] = {
    "code": "unit code|unit|booth code|assembly code|code|इकाई|यूनिट|कोड|इकाई कोड|बूथ कोड|ikai",
    "booth": "booth|buth|booth no|booth number|booth name|polling station|polling booth|ps|ps no"
    "|ps name|part no|part number|बूथ|बूथ क्रमांक|बूथ संख्या|बूथ नंबर|बूथ न|मतदान केंद्र|मतदान केंद्र का नाम"
    "|मतदान केंद्र क्रमांक|भाग संख्या|भाग क्रमांक|matdan kendra|booth kramank|bhag sankhya",
    "assembly": "assembly|assembly constituency|constituency|ac|ac no|ac name|vidhan sabha"
    "|vidhansabha|vs|विधानसभा|विधान सभा|विधानसभा क्षेत्र|विधान सभा क्षेत्र|विस",
    "district": "district|dist|जिला|ज़िला|जिले का नाम|jila|zila|zilla",
    "division": "division|संभाग|सम्भाग|sambhag",
    "date": "date|dt|dated|day|दिनांक|दिनाँक|तारीख|तारीख़|तिथि|दिन|dinank|tarikh|tareekh|timestamp"
    "|created on|joined on|held on|submitted at|submission time|time|समय|date of joining"
    "|date of training|date of meeting|नियुक्ति दिनांक|appointment date",
    "birth": "birth|date of birth|dob|born|जन्म|जन्म तिथि|जन्मतिथि|janm|age|आयु|उम्र|umra|umar",
    "serial": "s no|sno|sr no|srno|sr|sl no|sl|serial|serial no|serial number|no|क्र|क्रं|क्रमांक"
    "|क्रम|क्रम संख्या|क्र स|स क्र|अनुक्रमांक|अ क्र|kramank|kram",
    "identity": "form no|form number|form|membership form no|receipt|receipt no|membership no"
    "|membership id|id|uid|uuid|response id|group id|group link|invite link|रसीद|रसीद क्रमांक"
    "|फॉर्म|फॉर्म क्रमांक|फार्म|फार्म क्रमांक|सदस्यता क्रमांक|आईडी|ग्रुप लिंक|ग्रुप का लिंक|समूह लिंक",
    "version": "version|revision|संस्करण",
    "phone": "मो|मो न|मो नं|mobile|mobile no|mobile number|mob"
    "|mob no|mo|mo no|phone|phone no|phone number"
    "|contact no|contact number|contact|whatsapp no|whatsapp number|cell|tel|telephone"
    "|मोबाइल|मोबाईल|मोबाइल नंबर|मोबाइल न|मोबाईल नंबर|मोबा|फोन|फोन नंबर|दूरभाष|संपर्क नंबर"
    "|संपर्क सूत्र|व्हाट्सएप नंबर|mobile kramank",
    "name": "name|full name|नाम|naam|nam",
    "reporter": "reporter|reported by|submitted by|filled by|your|email address|आपका|आपकी"
    "|रिपोर्ट करने वाले|रिपोर्टकर्ता|भरने वाले|प्रेषक|जानकारी देने वाले",
    "role": "role|post held|designation|position|responsibility|पद|दायित्व|पदनाम|pad|dayitva",
    "members": "members|no of members|number of members|total members|member count|strength"
    "|group members|सदस्य संख्या|सदस्यों की संख्या|कुल सदस्य|सदस्य|sadasya|sadasya sankhya",
    "new_members": "new members|members enrolled|members added|enrolled|members joined|नए सदस्य"
    "|नये सदस्य|नए सदस्यों की संख्या|बनाए गए सदस्य|सदस्यता संख्या|naye sadasya",
    "attendees": "attendees|attendance|present|total present|no of attendees|participants"
    "|no of participants|number of participants|trained|persons trained|उपस्थिति|उपस्थित|उपस्थित संख्या"
    "|उपस्थिति संख्या|प्रतिभागी|प्रतिभागियों की संख्या|प्रशिक्षणार्थी|प्रशिक्षित|upasthiti|upasthit",
    "posts": "posts|post count|posts count"
    "|number of posts|no of posts|how many posts|पोस्ट|पोस्ट संख्या|पोस्ट की संख्या"
    "|कितनी पोस्ट",
    "reach": "reach|total reach|views|impressions|पहुंच|पहुँच|कुल पहुंच|व्यूज|pahunch",
    "engagements": "engagements|engagement|interactions|likes|reactions|सहभागिता|लाइक|लाइक्स",
    "doors": "doors|doors visited|door to door|houses|households|houses visited|घर|घरों|घरों की संख्या"
    "|परिवार|परिवारों की संख्या|ghar|gharo|gharon",
    "volunteers": "volunteers|number of volunteers|no of volunteers|स्वयंसेवक|स्वयंसेवकों की संख्या"
    "|कार्यकर्ता|कार्यकर्ताओं की संख्या|karyakarta",
    "group_name": "group name|whatsapp group name|whatsapp group|group|ग्रुप|ग्रुप का नाम|ग्रुप नाम"
    "|समूह|समूह का नाम|व्हाट्सएप ग्रुप का नाम",
    "group_type": "group type|type of group|ग्रुप प्रकार|ग्रुप का प्रकार|समूह का प्रकार",
    "programme": "training topic|topic|subject|programme|program|training|training name"
    "|training programme|प्रशिक्षण|प्रशिक्षण का नाम|प्रशिक्षण विषय|विषय|prashikshan|vishay",
    "platform": "platform|which platform|social media platform|channel|प्लेटफॉर्म|प्लेटफार्म"
    "|सोशल मीडिया|सोशल मीडिया प्लेटफॉर्म",
    "mode": "mode|drive|membership mode|माध्यम|सदस्यता का प्रकार|सदस्यता माध्यम|madhyam",
    "active": "active|is active|सक्रिय|sakriya",
    "evidence": "photo|photo link|screenshot|picture|image|proof|link|url|फोटो|फोटो लिंक|लिंक|चित्र"
    "|प्रमाण|foto",
}
assert set(_PHRASES) == set(get_args(Meaning))
_BY_PHRASE: dict[str, Meaning] = {
    normalise_name(phrase): meaning
    for meaning, phrases in _PHRASES.items()
    for phrase in phrases.split("|")
}
_MAX_WORDS = max(len(phrase.split()) for phrase in _BY_PHRASE)


class HeadingMeaning(NamedTuple):
    """A meaning that a heading may have."""

    meaning: Meaning
    phrase: str
    """The words of the heading that say so."""


def find_meanings(heading: str) -> list[HeadingMeaning]:
    """Return what a heading may mean, the longest phrase first.

    A phrase within a longer one that was found does not count: `booth code` is no booth.
    """
    words = normalise_name(heading).split()
    found: list[HeadingMeaning] = []
    taken: set[int] = set()
    for start, end in _iter_ranges(len(words)):
        meaning = _BY_PHRASE.get(" ".join(words[start:end]))
        if meaning is not None and taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            found.append(HeadingMeaning(meaning, " ".join(words[start:end])))
    return found


def contains_words(text: str, phrases: str) -> bool:
    """Whether a text has one of some phrases as whole words.

    Args:
        text: of any script.
        phrases: separated by `|`.
    """
    padded = f" {normalise_name(text)} "
    return any(f" {normalise_name(phrase)} " in padded for phrase in phrases.split("|"))


def _iter_ranges(words: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of words, the longest first, of equal ones the first."""
    for length in range(min(words, _MAX_WORDS), 0, -1):
        for start in range(words - length + 1):
            yield start, start + length
