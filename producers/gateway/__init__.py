"""The gateway: takes what field tools send, and hands it to Kafka so that nothing is lost, doubled or misread. See docs/adr/0014.

| module | what it is |
| --- | --- |
| `app` | HTTP: `/v1/events`, `/v1/hooks/{tool}/{name}`, health, metrics |
| `checks` | who sends: secret header, signature with a time window, basic, bearer |
| `limits` | size of a body, depth of JSON, rate of a source |
| `reception` | the way of a body, a ready event or a pulled submission to the store: adapter, mapping, what a source may report |
| `intake` | what was told and what stands now → events. Pure |
| `store` | the one SQLite file: archive of bodies, what was told, the outbox, counters; waiting requests are committed together |
| `given_out` | which hashes of persons were given out |
| `units` | the unit registry as the gateway last saw it, and what a source may report for |
| `status` | what came from whom, and who is silent |

A hook's way: body → `producers.mapping.tools.<tool>.read_hook` → `Submission`s → `producers.mapping.form_mapper.map_submission` → `MappedEvent`s → `intake` → outbox.

A pull enters at the `Submission`, by a `IngestService` of its own, in the process of `pravah gateway serve` or another one:

    with Reception.open(settings) as reception:
        cursor = reception.store.get_cursor("kobo-narayanpur")             # what the last call handed in; None at first
        taken = reception.take_submissions("kobo-narayanpur", submissions, cursor=cursor)   # with the new cursor, in the same transaction
        taken.accepted, taken.repeated, taken.refused                      # refused: [(submission, reason, detail)]: in the archive, to be mended and sent again
        for known in reception.store.known_submissions("kobo-narayanpur"):  # form, name, changed_at, deleted: for `reconcile`
            ...
"""
