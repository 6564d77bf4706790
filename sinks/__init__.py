"""ClickHouse: migrations, the writer of journal and ledger, and what is read back. All of it through clickhouse-driver.

| module | what it is |
| --- | --- |
| `connection` | clients for the three accounts, and which errors are worth another try |
| `migrate`, `migrations/` | the schema, numbered, forward and backward |
| `tables` | the columns of what the roll-up writes |
| `rollup_store` | what a roll-up worker reads and writes |
| `dimensions` | registry and metric dictionary as tables |
| `recount` | every figure again, from the ledger alone |
"""
