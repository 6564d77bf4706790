"""What an event claims, in words: for people who check it in the field."""

from collections.abc import Mapping
from typing import Any

from pravah.events import Kind
from pravah.languages import Language

_ROLES: dict[str, tuple[str, str]] = {
    "head": ("प्रमुख", "a head"),
    "incharge": ("प्रभारी", "an in-charge"),
    "committee_member": ("समिति सदस्य", "a committee member"),
}
_GROUPS: dict[str, tuple[str, str]] = {
    "whatsapp": ("व्हाट्सएप समूह", "WhatsApp group"),
    "broadcast": ("ब्रॉडकास्ट समूह", "broadcast group"),
}
_PLATFORMS: dict[str, tuple[str, str]] = {
    "facebook": ("फेसबुक", "Facebook"),
    "twitter": ("ट्विटर", "Twitter"),
    "whatsapp": ("व्हाट्सएप", "WhatsApp"),
}
_PROGRAMMES: dict[str, tuple[str, str]] = {
    "incharge": ("प्रभारी", "for in-charges"),
    "social_media": ("सोशल मीडिया", "on social media"),
    "booth_management": ("बूथ प्रबंधन", "on booth management"),
}


def describe_claim(
    kind: Kind, data: Mapping[str, Any], language: Language, *, metric: str = ""
) -> str:
    """Say what an event claims to have happened.

    Args:
        kind: of the event.
        data: its data, valid for the kind.
        language: of the sentence.
        metric: name of a tally's metric in that language; default: as the event has it.
    """
    place = 0 if language == "hi" else 1
    hindi, english = _SENTENCES[kind](data, metric or str(data.get("metric", "")))
    return (hindi, english)[place]


def _incharge(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    hindi, english = _ROLES[data["role"]]
    if data.get("active", True):
        return f"{hindi} नियुक्त हुए", f"{english} was appointed"
    return f"{hindi} अब पद पर नहीं", f"{english} left the office"


def _committee(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    if data.get("active", True):
        count = data["members"]
        return f"{count:,} सदस्यों की समिति बनी", f"a committee of {count:,} was formed"
    return "समिति अब नहीं रही", "the committee was dissolved"


def _training(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    programme = str(data["programme"])
    hindi, english = _PROGRAMMES.get(programme, (programme, f"({programme})"))
    count, units = data["attendees"], len(data.get("trained_units") or ())
    return (
        f"प्रशिक्षण: {hindi}, {count:,} उपस्थित" + (f", {units:,} इकाइयाँ" if units else ""),
        f"a training {english} with {count:,} present" + (f", of {units:,} units" if units else ""),
    )


def _group(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    hindi, english = _GROUPS[data["group_type"]]
    if data.get("active", True):
        count = data["members"]
        return f"{hindi} में {count:,} सदस्य", f"a {english} with {count:,} members"
    return f"{hindi} अब बंद है", f"the {english} was closed"


def _post(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    hindi, english = _PLATFORMS[data["platform"]]
    count, reach, engagements = data["posts"], data.get("reach"), data.get("engagements")
    return (
        f"{hindi} पर {count:,} पोस्ट"
        + ("" if reach is None else f", पहुँच {reach:,}")
        + ("" if engagements is None else f", सहभागिता {engagements:,}"),
        f"{count:,} {'post' if count == 1 else 'posts'} on {english}"
        + ("" if reach is None else f", reach {reach:,}")
        + ("" if engagements is None else f", engagements {engagements:,}"),
    )


def _membership(data: Mapping[str, Any], _metric: str) -> tuple[str, str]:
    count = data["count"]
    members = "member" if count == 1 else "members"
    if data["mode"] == "digital":
        return f"{count:,} डिजिटल सदस्य बने", f"{count:,} digital {members} enrolled"
    return f"{count:,} कागज़ी सदस्य बने", f"{count:,} {members} enrolled on paper"


def _tally(data: Mapping[str, Any], metric: str) -> tuple[str, str]:
    text = f"{metric}: {data['value']:,}"
    return text, text


_SENTENCES = {
    "incharge_appointed": _incharge,
    "committee_formed": _committee,
    "training_held": _training,
    "messaging_group": _group,
    "social_post": _post,
    "membership": _membership,
    "tally": _tally,
}
