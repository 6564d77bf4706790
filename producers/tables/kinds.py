"""Words by which a table shows what kind of events it has, and the values of their fields."""

from collections.abc import Sequence

from pravah.events import Kind
from producers.tables.column_profiles import ENOUGH
from producers.tables.headings import contains_words
from schemas.unit_names import normalise_name

# Phrases are separated by `|`.
WORDS_OF_KIND: dict[Kind, str] = {
    "incharge_appointed": "incharge|in charge|incharges|in charges|prabhari|adhyaksh|office bearers"
    "|प्रभारी|बूथ प्रभारी|अध्यक्ष|पदाधिकारी|नियुक्ति",
    "committee_formed": "committee|committees|samiti|समिति|समितियां|कमेटी|कमिटी",
    "training_held": "training|trainings|trainer|prashikshan|प्रशिक्षण|प्रशिक्षक|ट्रेनिंग|workshop"
    "|कार्यशाला",
    "messaging_group": "whatsapp|whatsapp group|whatsapp groups|broadcast|व्हाट्सएप|व्हाट्सऐप|वाट्सएप"
    "|ग्रुप|समूह|group|groups",
    "social_post": "social media|facebook|twitter|post|posts|पोस्ट|सोशल मीडिया|फेसबुक"
    "|reach|engagement",
    "membership": "membership|member|members|sadasyata|सदस्यता|सदस्यता अभियान|सदस्य सूची|सदस्य",
    "tally": "doors|door to door|ghar ghar|घर घर|volunteers|स्वयंसेवक|कार्यकर्ता",
}
# Field of `data` → its values and the words for each. A longer word wins.
CONSTANTS: dict[str, dict[str, str]] = {
    "role": {
        "head": "head|president|adhyaksh|अध्यक्ष|बूथ अध्यक्ष|मुखिया|chairman|convenor|संयोजक",
        "incharge": "incharge|in charge|prabhari|प्रभारी|बूथ प्रभारी|सह प्रभारी|incharges",
        "committee_member": "member|committee member|sadasya|सदस्य|समिति सदस्य",
    },
    "mode": {
        "manual": "manual|paper|offline|form|receipt|रसीद|मैनुअल|कागज|कागज़|ऑफलाइन|फॉर्म|फार्म",
        "digital": "digital|app|online|mobile app|missed call|डिजिटल|ऑनलाइन|ऐप|एप|मोबाइल ऐप"
        "|timestamp",
    },
    "platform": {
        "facebook": "facebook|fb|फेसबुक|face book",
        "twitter": "twitter|x|tweet|ट्विटर|ट्वीटर",
        "whatsapp": "whatsapp|whats app|wa|व्हाट्सएप|व्हाट्सऐप|वाट्सएप|व्हाट्सअप",
    },
    "group_type": {
        "whatsapp": "whatsapp|whatsapp group|group|ग्रुप|व्हाट्सएप|व्हाट्सऐप|वाट्सएप|समूह|chat",
        "broadcast": "broadcast|broadcast list|ब्रॉडकास्ट|प्रसारण",
    },
}


def find_value(name: str, text: str) -> str | None:
    """Return the only value of a field whose words a text has; None if there is none or several.

    Args:
        name: a field of `CONSTANTS`.
        text: a cell, or title and headings of a table.
    """
    found = [value for value, words in CONSTANTS[name].items() if contains_words(text, words)]
    return found[0] if len(found) == 1 else None


def has_values_of(name: str, texts: Sequence[str]) -> bool:
    """Whether most texts of a column are words for the values of a field, and little else.

    Args:
        name: a field of `CONSTANTS`.
        texts: the filled cells of a column. Names of groups have such words too, and all differ.
    """
    enough = ENOUGH * len(texts)
    exact = sum(normalise_name(text) in _WORDS[name] for text in texts)
    known = sum(find_value(name, text) is not None for text in texts)
    return bool(texts) and (exact >= enough or (known >= enough and len(set(texts)) < len(texts)))


_WORDS = {
    name: {normalise_name(word) for words in values.values() for word in words.split("|")}
    for name, values in CONSTANTS.items()
}
