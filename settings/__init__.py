"""Every setting of Pravah in one place, each also an environment variable `PRAVAH_…`.

A value comes from, first wins: the caller, the environment (`PRAVAH_KAFKA__BOOTSTRAP_SERVERS=…`, two underscores between the parts), the file
`stack.json` in `PRAVAH_HOME` that a running stack wrote, the default. So the same code serves the stack on one machine and clusters elsewhere.
"""

from settings.model import ClickHouseSettings, ClickHouseUser, KafkaSettings, Settings

__all__ = ["ClickHouseSettings", "ClickHouseUser", "KafkaSettings", "Settings"]
