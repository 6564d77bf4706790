"""Hashes of persons that were issued, as the gateway's file stores them.

Everything on this installation that issues hashes uses it, so that a rotated key counts no person
twice.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pravah.settings import Settings
from producers.gateway.store import Store
from producers.gateway.transaction import Transaction


class StoredIssuedHashes:
    """The issued hashes of a store, and new ones until `save` writes them.

    Implements `producers.mapping.pseudonyms.IssuedHashes`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: set[str] = set()

    def known(self, hashes: Collection[str]) -> set[str]:
        """Those that were issued before."""
        return self._store.issued_hashes(hashes) | self._new.intersection(hashes)

    def remember(self, hashes: Collection[str]) -> None:
        """Add hashes, which `save` stores."""
        self._new.update(hashes)

    def save(self, transaction: Transaction) -> None:
        """Store the new hashes, in the transaction of the events that carry them."""
        transaction.save_issued_hashes(self._new)


@contextmanager
def open_issued_hashes(settings: Settings) -> Iterator[StoredIssuedHashes]:
    """Open the issued hashes for events that do not pass the gateway, such as an import.

    The new hashes are stored when the block ends, however it ends. After a kill, running the same
    import again stores them.

    Raises:
        OSError, sqlite3.DatabaseError, OutboxFullError: the file cannot be opened.
    """
    with Store.open(settings) as store:
        issued = StoredIssuedHashes(store)
        try:
            yield issued
        finally:
            store.submit(issued.save).result()
