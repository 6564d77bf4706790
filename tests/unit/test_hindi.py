"""A Hindi word is spelled in one way in whatever Pravah shows, such as ज़िला."""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

from schemas.unit_names import NASALS

ROOT = Path(__file__).parents[2]
SUFFIXES = {".html", ".json", ".md", ".py", ".svg", ".toml", ".txt", ".yaml"}
FOLDERS = (
    *("api", "cli", "doctor", "docs", "grafana", "operations", "pravah", "producers", "reference"),
    *("replica", "reports", "rollup", "schemas", "sinks", "stack", "streams"),
)
# Spellings of users, which are read, and data of others, which are quoted.
AS_OTHERS_SPELL = (
    "docs/import.md",
    "docs/mappings.md",
    "producers/examples/",
    "producers/mapping/",
    "producers/tables/headings.py",
    "producers/tables/kinds.py",
    "producers/tables/rows.py",
    "reference/boundaries/",
    "reference/registry/",
    "reference/sources/",
    "schemas/field_sheet.py",
    "schemas/unit_names.py",
)
_NASAL = re.compile("|".join(f"{nasal}्(?=[{following}])" for nasal, following in NASALS))


def fold(word: str) -> str:
    """A word without what writers leave out: the nukta, and the kind of a nasal."""
    word = unicodedata.normalize("NFC", word).replace("़", "").replace("ँ", "ं")
    word = _NASAL.sub("ं", word)
    return word.replace("ये", "ए").replace("यी", "ई")


def spellings() -> dict[str, dict[str, set[str]]]:
    """Folded word → its spellings → the files that have them."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in [*paths, *ROOT.glob("*.md")]:
        name = str(path.relative_to(ROOT))
        if path.suffix not in SUFFIXES or name.startswith(AS_OTHERS_SPELL):
            continue
        for word in set(re.findall(r"[\u0900-\u0963]{2,}", path.read_text(encoding="utf-8"))):
            found[fold(word)][word].add(name)
    return found


def test_a_word_is_spelled_in_one_way() -> None:
    found = spellings()
    assert set(found[fold("जिला")]) == {"ज़िला"}
    several = {tuple(words): words for words in found.values() if len(words) > 1}
    assert not several
