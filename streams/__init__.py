"""The roll-up: from the log of events to exact figures at every level.

The way of an event: `transport` fetches a batch, `app` hands it to the `worker`, which cuts it at chunk boundaries (`chunks`), admits each record (`validator`), asks the
ledger for earlier versions, folds what is new (`open_chunk`: `contribution`, then `rollup`) and writes the rows. Of these only `transport` and `app` know Faust, and only
`worker` does anything but compute.
"""
