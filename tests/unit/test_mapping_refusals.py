"""A mapping that can never work is refused when it is read, of forms and of tables alike."""

import pytest

from producers.mapping.form_mapping import FormMapping, MappingError
from producers.tables import ImportMapping

FORM = """
unit = { field = "booth" }
occurred_at = { field = "day" }
[[event]]
kind = "tally"
constants = { metric = "volunteers" }
[event.fields.value]
field = "count"
type = "integer"
"""
TABLE = """
kind = "tally"
producer = "office"
constants = { metric = "volunteers" }
unit = { column = "booth" }
occurred_at = { column = "day" }
entity = { prefix = "sheet", columns = ["form"] }
[fields.value]
column = "count"
type = "integer"
"""
# Of both: part of the mapping, what replaces it, the finding. `@` is `field` or `column`.
BOTH = [
    ('metric = "volunteers"', 'metric = "moonshots"', "metric: 'moonshots' is no tally metric"),
    ('metric = "volunteers"', 'metric = "incharges"', "'incharges' is no tally metric"),
    ('metric = "volunteers"', 'metric = "Volunteers"', "metric: tally can never have"),
    ('metric = "volunteers"', "", "metric: tally needs it"),
    (
        'constants = { metric = "volunteers" }',
        'fields.metric = { @ = "m", values = { a = "volunteers", b = "moonshots" } }',
        "'moonshots' is no tally metric",
    ),
    ('kind = "tally"', 'kind = "rally"', "kind"),
    ('"count"', '"booth"', "no text of booth can be both"),
    ('"count"', '" Booth"', "no text of booth can be both"),
    ('"count"\ntype = "integer"', '"day"\ntype = "boolean"', "no text of day can be both"),
    ('type = "integer"', 'type = "integer"\nvalues = {}', "is empty, so every text"),
    ('type = "integer"', 'type = "integer"\nregion = "IN"', "region is for type = 'hash'"),
    ('type = "integer"', "values = { a = -1 }", "value: tally can never have -1"),
    ('"booth" }', '"booth", values = { "बूथ" = "CG-X" } }', "values: 'CG-X' is no unit code"),
    ('"booth" }', '"booth", values = { } }', "is empty, so every text"),
    ('"booth" }', '"booth", level = "booth" }', "level, assembly, district and division are for"),
    (
        '"booth" }',
        '"booth", by = "name", level = "district", assembly = "ac" }',
        "assembly is not above district",
    ),
    (
        '"booth" }',
        '"booth", by = "name", level = "assembly", assembly = "ac" }',
        "assembly is not above assembly",
    ),
    ('"booth" }', '"booth", within = "Chhattisgarh" }', "within"),
    ('"booth" }', '"booth", by = "guess" }', "by"),
    ('"day" }', '"day", format = "%d/%m" }', "has no year"),
    ('"day" }', '"day", format = "%H:%M" }', "has no year"),
    ('"day" }', '"day", format = "%d/%m/%Q" }', "is no format of strptime"),
    ('"day" }', '"day", zone = "Asia/Raipur" }', "is no time zone"),
    (
        'constants = { metric = "volunteers" }',
        (
            'constants = { metric = "volunteers" }\n'
            'envelope.verification = { @ = "ok", values = { yes = "checked" } }'
        ),
        "verification: it can never be 'checked'",
    ),
    (
        'constants = { metric = "volunteers" }',
        'constants = { metric = "volunteers" }\nenvelope.reporter = { @ = "who" }',
        "it must be the keyed hash of a person",
    ),
    (
        'constants = { metric = "volunteers" }',
        (
            'constants = { metric = "volunteers" }\n'
            'envelope.reporter = { @ = "who", type = "phone", region = "India" }'
        ),
        "'India' is no country",
    ),
    (
        'constants = { metric = "volunteers" }',
        (
            'constants = { metric = "volunteers" }\n'
            'envelope.reporter = { @ = "booth", type = "phone" }'
        ),
        "no text of booth can be both",
    ),
]


@pytest.mark.parametrize(("old", "new", "finding"), BOTH)
def test_it_is_refused_in_forms_and_tables(old: str, new: str, finding: str) -> None:
    for model, text, key in ((FormMapping, FORM, "field"), (ImportMapping, TABLE, "column")):
        assert old in text
        changed = text.replace(old, new.replace("@", key), 1)
        with pytest.raises(MappingError) as caught:
            model.from_toml(changed)  # type: ignore[attr-defined]
        assert any(finding in one for one in caught.value.findings), caught.value.findings


ENTITY = 'entity = { prefix = "whatsapp", fields = ["link"] }'
SECOND = FORM[FORM.index("[[event]]") :].replace("[[event]]", f'[[event]]\npart = "b"\n{ENTITY}')


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            FORM.replace('type = "integer"', 'type = "integer"\nseparator = ","'),
            "separator is for many = true",
        ),
        (
            FORM.replace('type = "integer"', 'type = "integer"\nmany = true'),
            "type = 'integer', many can never be right",
        ),
        (
            FORM.replace("[event.fields", 'when = { field = "x", is = [] }\n[event.fields', 1),
            "x can never fit",
        ),
        (
            FORM.replace(
                "[event.fields",
                'when = { field = "x", is = ["Yes"], is_not = ["yes"] }\n[event.fields',
                1,
            ),
            "x can never fit",
        ),
        (
            FORM.replace(
                "[event.fields",
                'when = [{ field = "x", is = ["a"] }, { field = "x", is = ["b"] }]\n[event.fields',
                1,
            ),
            "x can never fit",
        ),
        (
            FORM.replace("[[event]]", f"[[event]]\n{ENTITY}") + SECOND,
            "events '' and 'b': both always have the entity whatsapp at the same time",
        ),
        ('server = "{{server}}"\n' + FORM, "not filled in"),
        ('form = "@flow.name"\n' + FORM, "not filled in"),
        (FORM.replace("[[event]]", f"[[event]]\n{ENTITY.replace('whatsapp', ' ')}"), "is blank"),
        (
            FORM.replace("[[event]]", f"[[event]]\n{ENTITY.replace('whatsapp', '${x}')}"),
            "not filled in",
        ),
        (
            FORM.replace('metric = "volunteers"', 'metric = "volunteers", value = 3'),
            "value: stands under both constants and fields",
        ),
    ],
)
def test_it_is_refused_in_forms(text: str, finding: str) -> None:
    with pytest.raises(MappingError) as caught:
        FormMapping.from_toml(text)
    assert any(finding in one for one in caught.value.findings), caught.value.findings


@pytest.mark.parametrize(
    "text",
    [
        FORM,
        FORM.replace('"day" }', '"day", format = "%Y%m%d" }').replace('"count"', '"day"'),
        FORM.replace(
            "[event.fields", 'when = { field = "count", is_not = ["0"] }\n[event.fields', 1
        ),
        FORM.replace("[[event]]", f'[[event]]\nwhen = {{ field = "x" }}\n{ENTITY}') + SECOND,
        FORM.replace(
            "[event.fields",
            'when = [{ field = "x", is = ["a", "b"] }, { field = "x", is_not = ["b"] }]'
            "\n[event.fields",
            1,
        ),
        FORM.replace('"booth" }', '"booth", values = { "बूथ" = "cg-ac84-b17" } }'),
        FORM.replace('"booth" }', '"booth", by = "alias", values = { a = "NRP 17" } }'),
    ],
)
def test_a_mapping_that_can_work_is_accepted(text: str) -> None:
    assert FormMapping.from_toml(text)
