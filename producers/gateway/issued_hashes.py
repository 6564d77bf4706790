"""Which hashes of persons were given out, as the gateway's file remembers them: for whatever hands out hashes on this installation, so that no rotation of the key counts a person twice."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pravah.settings import Settings
from producers.gateway.store import Store, Transaction


class IssuedState:
    """A `producers.mapping.pseudonyms.IssuedHashes`: what is new is kept with `keep`, in the transaction of what carries it."""

    def __init__(self, store: Store) -> None:
        """Look into this file."""
        self._store = store
        self._new: set[str] = set()

    def known(self, hashes: Collection[str]) -> set[str]:
        """Those that were given out before."""
        return self._store.given_out(hashes) | self._new.intersection(hashes)

    def remember(self, hashes: Collection[str]) -> None:
        """Keep them with what carries them."""
        self._new.update(hashes)

    def keep(self, transaction: Transaction) -> None:
        """Keep them for good."""
        transaction.give_out(self._new)


@contextmanager
def remembered(settings: Settings) -> Iterator[IssuedState]:
    """For the length of a block that sends past the gateway, such as an import: kept when it ends, however it does. After a kill, doing it again keeps them.

    Raises:
        OSError, sqlite3.DatabaseError, OutboxFullError: the file cannot be opened.
    """
    with Store.open(settings) as store:
        found = IssuedState(store)
        try:
            yield found
        finally:
            store.submit(found.keep).result()
