"""Tables whose rows are for few.

- `api_token(hash)`: the token of a secret's hash, while it is valid. It reads `api_tokens` with the
  rights of the account that applied this migration, so that the API's account looks tokens up and
  cannot list them.
- `contacts` has no primary key any more: an index of it shows offices of units whose rows a policy
  withholds. It has some thousand rows, and is read whole.
"""

from sinks.migrate import Schema

_CONTACTS = """
    unit String, role LowCardinality(String), name String, phone String,
    language Enum8('hi' = 1, 'en' = 2)
"""


def forward(schema: Schema) -> list[str]:
    """Create the view, and `contacts` without a key."""
    database = schema.database
    token = (
        f"CREATE VIEW {database}.api_token{schema.on_cluster} SQL SECURITY DEFINER AS "
        f"SELECT name, unit, kinds FROM {database}.api_tokens FINAL "
        "WHERE hash = {hash:String} AND NOT revoked AND expires_at > now64(3)"
    )
    return [
        token,
        *_exchange_contacts(schema, "tuple()"),
    ]


def backward(schema: Schema) -> list[str]:
    """Restore the key, and drop the view."""
    return [*_exchange_contacts(schema, "unit, role"), schema.drop_view("api_token")]


def _exchange_contacts(schema: Schema, order_by: str) -> list[str]:
    database = schema.database
    return [
        *schema.drop_table("contacts_next"),  # left by a migration that was cut short
        *schema.create_table("contacts_next", _CONTACTS, engine="MergeTree()", order_by=order_by),
        f"INSERT INTO {database}.contacts_next SELECT * FROM {database}.contacts",
        schema.exchange_tables("contacts", "contacts_next"),
        *schema.drop_table("contacts_next"),
    ]
